"""Adapted layers computed at once give what peft's give."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from torch import nn

from steps.backbone import load_generator
from steps.config.schema import Lora
from steps.onednn import use_onednn
from steps.train import fused_lora
from steps.train.adapters import add_lora
from steps.train.fused_lora import FusedLora, fuse_lora

LEAD = [(8,), (2, 5)]


def adapted(bias: bool = True, **settings) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(12, 20, bias=bias))
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["0"], **settings)
    model = get_peft_model(layer, config)
    nn.init.normal_(model.base_model.model[0].lora_B["default"].weight)
    return model


def results(model: nn.Module, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output and gradients of inputs and of all that is trained."""
    model.zero_grad()
    own = inputs.clone().requires_grad_()
    output = model(own)
    torch.manual_seed(1)
    output.backward(torch.randn_like(output))
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 2
    return {"output": output.detach(), "inputs": own.grad, **trained}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is computed at once."""
    counted = []
    real = fused_lora._Adapted.apply
    monkeypatch.setattr(
        fused_lora._Adapted, "apply", lambda *values: counted.append(1) or real(*values)
    )
    return counted


@pytest.mark.parametrize("lead", LEAD)
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_pefts(lead, bias, calls) -> None:
    model, inputs = adapted(bias), torch.randn(*lead, 12)
    wanted = results(model, inputs)
    assert not calls
    names = list(model.state_dict())
    fuse_lora(model)
    found = results(model, inputs)
    assert calls == [1]
    assert list(model.state_dict()) == names
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values, atol=1e-5, rtol=1e-5, msg=name)


def test_what_is_frozen_below_gets_no_gradient(calls) -> None:
    model = adapted()
    fuse_lora(model)
    model(torch.randn(8, 12)).sum().backward()
    assert calls == [1]
    assert model.base_model.model[0].lora_A["default"].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "settings",
    [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}],
    ids=lambda settings: next(iter(settings)),
)
def test_other_adapters_are_left_to_peft(settings, calls) -> None:
    model = adapted(**settings)
    fuse_lora(model)
    model(torch.randn(8, 12)).sum().backward()
    assert not calls


def test_a_trained_layer_below_is_left_to_peft(calls) -> None:
    model = adapted()
    fuse_lora(model)
    bias = model.base_model.model[0].base_layer.bias.requires_grad_()
    model(torch.randn(8, 12)).sum().backward()
    assert bias.grad.abs().sum() > 0
    assert not calls


def test_a_language_model_gets_such_layers(experiment, backbone) -> None:
    model = add_lora(load_generator(backbone, experiment), Lora(r=4), "CAUSAL_LM")
    assert any(isinstance(module, FusedLora) for module in model.modules())
    assert not any(type(module) is Linear for module in model.modules())


def test_other_types_and_switched_off_adapters_are_left_to_peft(calls) -> None:
    model = adapted()
    fuse_lora(model)
    plain = model.base_model.model[0].base_layer
    inputs = torch.randn(8, 12)
    with model.disable_adapter():
        assert torch.equal(model(inputs), plain(inputs))
    with torch.autocast("cpu", torch.bfloat16):
        assert model(inputs).dtype == torch.bfloat16
    model.double()(inputs.double())
    assert not calls


def test_few_rows_are_left_to_peft(calls) -> None:
    """7 of them and a layer of 12 x 20: the sum of weights is more work than the sum of outputs."""
    model = adapted()
    fuse_lora(model)
    for few in (torch.randn(7, 12), torch.randn(12), torch.randn(3, 0, 12)):
        assert model(few).shape == (*few.shape[:-1], 20)
    assert not calls


def test_several_adapters_are_left_to_peft(calls) -> None:
    model, inputs = adapted(), torch.randn(8, 12)
    model.add_adapter("other", LoraConfig(r=2, target_modules=["0"]))
    model.set_adapter("other")
    wanted = model(inputs)
    fuse_lora(model)
    assert torch.equal(model(inputs), wanted)
    assert not calls


def test_layers_of_another_kind_are_left_to_peft(calls) -> None:
    class Doubled(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(inputs)

    model, inputs = adapted(), torch.randn(8, 12)
    model.base_model.model[0].base_layer.__class__ = Doubled
    wanted = model(inputs)
    fuse_lora(model)
    assert torch.equal(model(inputs), wanted)
    assert not calls


def test_products_go_through_onednn_and_inputs_without_gradient_cost_none(
    every_product, calls
) -> None:
    model = adapted()
    use_onednn(model)
    fuse_lora(model)
    own = torch.randn(8, 12).requires_grad_()
    model(own).sum().backward()
    assert calls == [1]
    assert every_product == [(20, 12), (12, 20)]
    model(own.detach()).sum().backward()
    assert every_product == [(20, 12), (12, 20), (20, 12)]


def test_merged_weights_are_those_that_were_computed_with(calls) -> None:
    model, inputs = adapted(), torch.randn(8, 12)
    fuse_lora(model)
    assert isinstance(model.base_model.model[0], FusedLora)
    wanted = model(inputs)
    model.merge_adapter()
    torch.testing.assert_close(model(inputs), wanted, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    assert calls == [1]
    torch.testing.assert_close(model.merge_and_unload()(inputs), wanted, atol=1e-5, rtol=1e-5)
