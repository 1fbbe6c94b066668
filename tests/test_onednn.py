"""Linear layers through oneDNN compute what torch's do."""

from pathlib import Path

import pytest
import torch
from torch import nn

from steps import lm_head, onednn
from steps.backbone import load_generator, load_reward_model
from steps.onednn import OneDnnLinear, use_onednn


@pytest.fixture
def every_product(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Let oneDNN compute every product, whatever the processor; return the weights' shapes."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    shapes = []
    real = torch.ops.mkldnn._linear_pointwise

    def watched(inputs, weight, *others):
        shapes.append(tuple(weight.shape))
        return real(inputs, weight, *others)

    for module in (onednn, lm_head):
        monkeypatch.setattr(module, "is_faster", lambda: True)
    monkeypatch.setattr(onednn, "LEAST", 0)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    return shapes


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
@pytest.mark.parametrize("lead", [(7,), (2, 5), (1, 1)])
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


def test_elsewhere_layers_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = tmp_path / "cpuinfo"
    make.write_text("vendor_id : GenuineIntel\n")
    assert not onednn.is_faster(make) and not onednn.is_faster(tmp_path / "absent")
    monkeypatch.setattr(onednn, "is_faster", lambda: False)
    layer = nn.Linear(2, 3)
    use_onednn(layer)
    assert type(layer) is nn.Linear


def test_the_lm_head_equals_the_plain_one_whatever_its_rows(every_product, monkeypatch) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(50, 8), torch.randn(30, 8)
    targets = torch.randint(30, (50,))
    wanted = torch.log_softmax(hidden @ weight.T, 1).gather(1, targets[:, None])[:, 0]
    for logits in (1, 30 * 20, 10**6):  # 16, the least, 20 and all rows at a time
        monkeypatch.setattr(lm_head, "CACHED", logits)
        found = lm_head.token_log_probs(hidden, weight, targets)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        sampled, _ = lm_head.tempered_log_probs(hidden, weight, targets, 1.0, 1.0)
        torch.testing.assert_close(sampled, wanted, atol=1e-5, rtol=0)
    assert set(every_product) == {(30, 8)} and len(every_product) == 2 * (4 + 3 + 1)


def test_rows_of_logits_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_head, "is_faster", lambda: True)
    assert lm_head.chunk_rows(49_152, "cpu") == 128
    assert lm_head.chunk_rows(256_000, "cpu") == 24
    assert lm_head.chunk_rows(10**7, "cpu") == 16
    assert lm_head.chunk_rows(100, "cpu") == lm_head.chunk_rows(256_000, "cuda") == 512
    monkeypatch.setattr(lm_head, "is_faster", lambda: False)
    assert lm_head.chunk_rows(49_152, "cpu") == 512
