"""A reward model to score with: the backbone with a random head. How good it is costs nothing."""

from pathlib import Path

import torch

from benchmarks.setting import Setting
from steps.backbone import load_reward_model, load_tokenizer
from steps.train.save import save_reward_model


def write_reward_model(setting: Setting) -> Path:
    """Write the model folder as the train step does, once for each backbone."""
    folder = setting.work / f"reward-{setting.backbone.name}"
    if not folder.is_dir():
        torch.manual_seed(0)
        model = load_reward_model(setting.backbone, setting.experiment)
        facts = {"method": "orm", "seed": 0, "description": "a random head, to measure speed"}
        # Another one than the setting's: saving changes its template.
        tokenizer = load_tokenizer(setting.backbone, setting.experiment)
        save_reward_model(model, tokenizer, None, folder, facts)
    return folder
