"""Linear layers through oneDNN compute what torch's do."""

from pathlib import Path

import pytest
import torch
from torch import nn

from steps import lm_head, onednn
from steps.backbone import load_generator, load_reward_model
from steps.onednn import OneDnnLinear, use_onednn


def both(layer: nn.Linear, inputs: torch.Tensor) -> list[list[torch.Tensor | None]]:
    """Return output and gradients of a plain layer and of its counterpart."""
    torch.manual_seed(1)
    slope = torch.randn(*inputs.shape[:-1], layer.out_features)
    found = []
    for make in (lambda module: module, use_onednn):
        make(layer)
        layer.zero_grad()
        own = inputs.detach().requires_grad_()
        output = layer(own)
        output.backward(slope)
        found.append([output.detach(), own.grad, *(p.grad for p in layer.parameters())])
    return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(7,), (2, 5), (1, 1), (40,), (3, 0), ()])
def test_output_and_gradients_are_those_of_the_plain_layer(bias, lead, every_product) -> None:
    torch.manual_seed(0)
    plain, ours = both(nn.Linear(12, 20, bias=bias), torch.randn(*lead, 12, requires_grad=True))
    assert len(plain) == len(ours) == (4 if bias else 3)
    for wanted, found in zip(plain, ours, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    assert every_product == [(20, 12), (12, 20)]  # the gradient of weights is torch's


def test_inputs_may_lie_in_any_order_of_memory(every_product) -> None:
    torch.manual_seed(0)
    plain, ours = both(nn.Linear(6, 5), torch.randn(6, 9).T.requires_grad_())
    for wanted, found in zip(plain, ours, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_few_numbers_of_rows_reach_onednn_which_keeps_code_for_each(monkeypatch) -> None:
    met = set()

    def watched(inputs, weight, *_):
        met.add(len(inputs))
        return inputs @ weight.T

    monkeypatch.setattr(onednn, "_pays", lambda *_: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    torch.manual_seed(0)
    values, weight = torch.randn(200, 6), torch.randn(5, 6)
    for rows in range(200):
        found = onednn.product(values[:rows], weight)
        torch.testing.assert_close(found, values[:rows] @ weight.T)
    assert met == {0, 8, 16, 24, *range(32, 225, 32)}
    assert [onednn.whole(rows) for rows in (8, 31, 32, 49, 128)] == [8, 24, 32, 32, 128]


@pytest.mark.skipif(not onednn.is_faster(), reason="linear layers are torch's on this processor")
def test_a_row_has_the_same_values_alone_as_among_others() -> None:
    torch.manual_seed(0)
    values, weight = torch.randn(500, 576), torch.randn(1536, 576)
    among = onednn.product(values, weight)
    for rows in (1, 2, 7, 31, 33, 64, 199):
        assert torch.equal(
            onednn.product(values[100 : 100 + rows], weight), among[100 : 100 + rows]
        )


def test_what_is_frozen_costs_no_product_and_gets_no_gradient(every_product) -> None:
    layer = nn.Linear(12, 20)
    use_onednn(layer)
    layer(torch.randn(7, 12)).sum().backward()
    assert every_product == [(20, 12)]  # the inputs need no gradient
    layer.requires_grad_(False).zero_grad()
    inputs = torch.randn(7, 12, requires_grad=True)
    layer(inputs).sum().backward()
    assert inputs.grad is not None and layer.weight.grad is None and layer.bias.grad is None


def test_other_dtypes_and_small_layers_are_left_to_torch(every_product, monkeypatch) -> None:
    layer = nn.Linear(12, 20)
    use_onednn(layer)
    layer.double()(torch.randn(7, 12, dtype=torch.float64))
    layer.bfloat16()(torch.randn(7, 12, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(torch.randn(7, 12)).dtype == torch.bfloat16
    monkeypatch.setattr(onednn, "LEAST", 12 * 20 + 1)
    layer(torch.randn(700, 12))
    assert not every_product
    monkeypatch.setattr(onednn, "LEAST", 12 * 20)
    layer(torch.randn(1, 12))  # whatever the rows: a text is computed alone as among others
    assert every_product


def test_loaded_models_use_it(backbone: Path, experiment, every_product) -> None:
    for load in (load_generator, load_reward_model):
        model = load(backbone, experiment)
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        assert linear and all(type(module) is OneDnnLinear for module in linear)


def test_it_is_taken_on_the_processors_that_it_was_measured_on(tmp_path: Path) -> None:
    there = torch.backends.mkldnn.is_available()
    known = {"AuthenticAMD avx2 avx512f": there, "GenuineIntel avx512f": False}
    for number, (words, wanted) in enumerate({**known, "AuthenticAMD avx2": False}.items()):
        file = tmp_path / str(number)
        file.write_text(f"vendor_id : {words.replace(' ', chr(10) + 'flags : ', 1)}\n")
        assert onednn.is_faster(file) == wanted
    assert not onednn.is_faster(tmp_path / "absent")


def test_elsewhere_layers_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "is_faster", lambda: False)
    layer = nn.Linear(2, 3)
    use_onednn(layer)
    assert type(layer) is nn.Linear


def test_the_lm_head_equals_the_plain_one_whatever_its_rows(every_product, monkeypatch) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(50, 8), torch.randn(30, 8)
    targets = torch.randint(30, (50,))
    plain = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    logits = plain[0] @ plain[1].T
    wanted = torch.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]
    slope = torch.randn(50)
    slopes = torch.autograd.grad(wanted @ slope, plain)
    wanted = wanted.detach()
    for logits in (1, 30 * 33, 10**6):  # 16, the least, 32 and all rows at a time
        monkeypatch.setattr(lm_head, "CACHED", logits)
        own = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
        found = lm_head.token_log_probs(*own, targets)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        for mine, theirs in zip(torch.autograd.grad(found @ slope, own), slopes, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
        sampled, _ = lm_head.tempered_log_probs(hidden, weight, targets, 1.0, 1.0)
        torch.testing.assert_close(sampled, wanted, atol=1e-5, rtol=0)
    # Forwards, backwards, and the pass without gradients.
    assert set(every_product) == {(30, 8)} and len(every_product) == 3 * (4 + 2 + 1)


def test_rows_of_logits_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_head, "is_faster", lambda: True)
    assert lm_head.chunk_rows(49_152, "cpu") == 128
    assert lm_head.chunk_rows(256_000, "cpu") == 24
    assert lm_head.chunk_rows(128_256, "cpu") == 32  # of 49, which would be filled up
    assert lm_head.chunk_rows(10**7, "cpu") == 16
    assert lm_head.chunk_rows(100, "cpu") == lm_head.chunk_rows(256_000, "cuda") == 512
    monkeypatch.setattr(lm_head, "is_faster", lambda: False)
    assert lm_head.chunk_rows(49_152, "cpu") == 512
