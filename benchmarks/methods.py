"""What ICRM costs: beside the same without the regulariser, beside ORM, and with its upper layers
alone trained.
"""

from benchmarks.flops import training_flops
from benchmarks.ours import first_rewards, make_cache, make_trainer, step_pairs, training_work
from benchmarks.rows import Row, time_row
from benchmarks.setting import Setting
from benchmarks.timing import check_equal, in_turns, training_run
from steps.backbone import frozen_layers

UPPER_LAYERS = 4  # as in config/quickstart.yaml; the tiny model has three, of which it trains two


def icrm_over_grm(setting: Setting) -> Row:
    """The regulariser alone: both read the LM head and train the same weights."""
    return _against(setting, "grm_release", "<= 1.05")


def icrm_over_orm(setting: Setting) -> Row:
    """The regulariser and the language-model term."""
    return _against(setting, "orm", None)


def _against(setting: Setting, peer: str, target: str | None) -> Row:
    setting, groups = step_pairs(setting)
    cache = make_cache(setting, groups, f"icrm-{peer}")
    ours, theirs = (make_trainer(setting, m, cache, groups) for m in ("icrm", peer))
    name = f"step of icrm over {peer}, every weight trained"
    check_equal(f"{name}: first rewards", first_rewards(ours), first_rewards(theirs))
    seconds = in_turns(training_run(ours), training_run(theirs), setting.size.rounds)
    flops, peer_flops = (
        training_flops(setting.config, training_work(t), "full") for t in (ours, theirs)
    )
    return time_row(
        setting.machine,
        seconds,
        flops,
        peer_flops,
        name=name,
        work=f"a step of {len(groups)} pairs, {training_work(ours).tokens:,} tokens",
        peer_name=peer,
        target=target,
    )


def upper_layers_over_full(setting: Setting) -> Row:
    """A method and seed once the cache stands: the upper layers on cached states, or all."""
    setting, groups = step_pairs(setting.with_training(lm_head="tied"))
    trained = min(UPPER_LAYERS, setting.config.num_hidden_layers - 1)
    upper = setting.with_training(mode="upper_layers", trained_layers=trained)
    full = make_trainer(setting, "icrm", make_cache(setting, groups, "whole"), groups)
    layer = frozen_layers(full.model.model, trained)
    ours = make_trainer(upper, "icrm", make_cache(upper, groups, "upper", layer), groups)
    name = f"training the upper {trained} layers on cached states over every weight (icrm)"
    check_equal(f"{name}: first rewards", first_rewards(ours), first_rewards(full))
    seconds = in_turns(training_run(ours), training_run(full), setting.size.rounds)
    work = training_work(ours)
    return time_row(
        setting.machine,
        seconds,
        training_flops(setting.config, work, "upper_layers", trained),
        training_flops(setting.config, work, "full"),
        name=name,
        work=f"a step of {len(groups)} pairs, {work.tokens:,} tokens",
        peer_name="mode: full",
        target=None,
    )
