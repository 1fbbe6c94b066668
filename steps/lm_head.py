"""Token log-probabilities from hidden states without a [tokens, vocabulary] tensor.

Logits exist for a chunk of rows at a time, which spares 4 V bytes a token (200 KB with 49,152
tokens in the vocabulary, 1 MB with 256,000). Where the head itself is trained its backward pass
makes them again: a fourth product of that size, where keeping them would need three.
"""

import torch
from torch import Tensor

from steps.onednn import is_faster, product, whole

CHUNK = 512  # rows of logits that exist at a time, at most
CACHED = 6_291_456  # logits that exist at a time where oneDNN makes them: 24 MiB


def chunk_rows(vocabulary: int, device_type: str) -> int:
    """Return how many rows of logits exist at a time.

    oneDNN is as fast with few of them, which are read again while the processor's caches hold them;
    and the C library keeps blocks below 32 MiB, where it takes larger ones from the system, zeroed,
    each time: the head's part takes 0.8 of the time with 128 rows instead of 512, 4 % of
    the caching of SmolLM2. MKL wants many: with 128 rows it takes 1.4 times as long.
    """
    if device_type != "cpu" or not is_faster():
        return CHUNK
    return whole(min(CHUNK, max(16, CACHED // vocabulary)))


class _TokenLogProbs(torch.autograd.Function):
    """log softmax(h W^T)[y] by chunks of rows.

    The forward pass also forms d log p / d h = W[y] - softmax(h W^T) W, which is [T, D] and makes
    the backward pass into the hidden states one product; the gradient of the head, where it is
    trained, needs the logits a second time.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        narrow = weight.to(hidden.dtype)
        log_probs = _wide(hidden.new_empty(len(targets)))
        totals = torch.empty_like(log_probs)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for part in _chunks(targets, weight):
            logits = _wide(product(hidden[part], narrow))
            log_probs[part], totals[part], sums = _log_probs_(logits, targets[part])
            if slopes is not None:
                # Before rounding, where it is half precision: a sure token's slope is what is left.
                logits[_rows(logits), targets[part]] -= sums
                slopes[part] = (logits.to(narrow.dtype) @ narrow).div_(-sums[:, None])
        ctx.save_for_backward(hidden, weight, targets, totals, slopes)
        return log_probs

    @staticmethod
    def backward(ctx, gradient: Tensor):
        hidden, weight, targets, totals, slopes = ctx.saved_tensors
        gradient = gradient.to(hidden.dtype)
        grad_hidden = slopes * gradient[:, None] if slopes is not None else None
        grad_weight = None
        if ctx.needs_input_grad[1]:
            narrow = weight.to(hidden.dtype)
            grad_weight = torch.zeros_like(weight)
            for part in _chunks(targets, weight):
                logits = _wide(product(hidden[part], narrow))
                probs = logits.sub_(totals[part, None]).exp_()
                probs[_rows(probs), targets[part]] -= 1
                scaled = hidden[part] * gradient[part, None]
                if narrow.dtype == weight.dtype:
                    grad_weight.addmm_(probs.to(narrow.dtype).T, scaled, alpha=-1)
                else:  # the sum over chunks is not rounded to half precision
                    grad_weight -= probs.to(narrow.dtype).T @ scaled
        return grad_hidden, grad_weight, None


def _rows(logits: Tensor) -> Tensor:
    return torch.arange(len(logits), device=logits.device)


def _log_probs_(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probabilities of the targets, the normalisers' logarithms, and row sums, each [T].

    The logits become exp(logits - greatest of the row), of which the sums are.
    """
    greatest = logits.amax(1)
    own = logits.gather(1, targets[:, None])[:, 0] - greatest
    sums = logits.sub_(greatest[:, None]).exp_().sum(1)
    total = sums.log()
    return own - total, greatest + total, sums


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _chunks(targets: Tensor, weight: Tensor) -> list[slice]:
    rows = chunk_rows(len(weight), weight.device.type)
    return [slice(start, start + rows) for start in range(0, max(len(targets), 1), rows)]


def token_log_probs(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return log p(targets[t] | hidden[t]), [T], in float32 or wider.

    The products are computed in the dtype of ``hidden`` or, under autocast, in autocast's; softmax
    and logarithm in float32 at least.

    Args:
        hidden: [T, D], final hidden states that predict the targets.
        weight: [V, D], LM head.
        targets: [T], token ids.
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device) and hidden.dtype == torch.float32:
        hidden = hidden.to(torch.get_autocast_dtype(device))
    with torch.autocast(device, enabled=False):
        return _TokenLogProbs.apply(hidden, weight, targets)


def tempered_log_probs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    temperature: float,
    top_p: float,
    entropy: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Return log-probabilities of the targets, [T], and entropies in nats, [T], if asked for.

    Both are of the distribution that is sampled from: logits divided by the temperature, then the
    nucleus of mass ``top_p`` renormalised; a target outside the nucleus has probability 0. No
    gradient.
    """
    log_probs, entropies = [], []
    for part in _chunks(targets, weight):
        logits = _wide(product(hidden[part], weight))
        if temperature != 1:
            logits /= temperature
        if top_p == 1 and not entropy:
            log_probs.append(_log_probs_(logits, targets[part])[0])
            continue
        logp = torch.log_softmax(logits, 1)
        if top_p < 1:
            logp = nucleus(logp, top_p)
        if entropy:
            entropies.append(-(logp.exp() * logp.clamp(min=-1e4)).sum(1))
        log_probs.append(logp.gather(1, targets[part, None])[:, 0])
    return torch.cat(log_probs), torch.cat(entropies) if entropy else None


def nucleus(logp: Tensor, top_p: float) -> Tensor:
    """Keep the smallest set of most probable tokens whose mass reaches ``top_p``; renormalise."""
    ordered, order = logp.sort(dim=1, descending=True, stable=True)
    probs = ordered.exp()
    # A token belongs to the nucleus if the mass before it has not reached top_p yet.
    outside = probs.cumsum(1) - probs >= top_p
    kept = ordered.masked_fill(outside, float("-inf"))
    kept = kept - kept.logsumexp(1, keepdim=True)
    return torch.empty_like(kept).scatter_(1, order, kept)
