"""The reward model as it is trained."""

from torch import Tensor

from steps.reward_head import token_rewards
from steps.train.language_module import LanguageModule


class RewardModule(LanguageModule):
    """A sequence classifier and, where a term asks for it, an LM head beside it."""

    def rewards(self, hidden: Tensor) -> Tensor:
        return token_rewards(self.unwrapped, hidden)
