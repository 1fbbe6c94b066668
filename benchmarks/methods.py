"""What ICRM costs: beside the same without the regulariser, beside ORM, and with its upper layers
alone trained.
"""

from benchmarks.flops import training_flops
from benchmarks.ours import first_rewards, make_cache, make_trainer, step_pairs, training_work
from benchmarks.rows import Row, time_row
from benchmarks.setting import Setting
from benchmarks.timing import Seconds, check_equal, in_rotation, in_turns, training_run
from steps.backbone import frozen_layers

UPPER_LAYERS = 4  # as in config/quickstart.yaml; the tiny model has three, of which it trains two


def icrm_over_grm_and_orm(setting: Setting) -> list[Row]:
    """The regulariser alone (both read the LM head and train the same weights), and with that term.

    Three times as many rounds as elsewhere: what is looked for is smaller than the machine's drift.
    """
    setting, groups = step_pairs(setting)
    cache = make_cache(setting, groups, "methods")
    targets = {"grm_release": "<= 1.05", "orm": None}
    trainers = {m: make_trainer(setting, m, cache, groups) for m in ("icrm", *targets)}
    rewards = {method: first_rewards(trainer) for method, trainer in trainers.items()}
    for peer in targets:
        check_equal(f"first rewards of icrm and {peer}", rewards["icrm"], rewards[peer])
    runs = [training_run(trainer) for trainer in trainers.values()]
    taken = dict(zip(trainers, in_rotation(runs, 3 * setting.size.rounds), strict=True))
    works = {method: training_work(trainer) for method, trainer in trainers.items()}
    flops = {m: training_flops(setting.config, work, "full") for m, work in works.items()}
    return [
        time_row(
            setting.machine,
            Seconds(taken["icrm"], taken[peer]),
            flops["icrm"],
            flops[peer],
            name=f"step of icrm over {peer}, every weight trained",
            work=f"a step of {len(groups)} pairs, {works['icrm'].tokens:,} tokens",
            peer_name=peer,
            target=target,
        )
        for peer, target in targets.items()
    ]


def upper_layers_over_full(setting: Setting) -> Row:
    """A step once the cache stands: the upper layers on cached states, or every weight."""
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
