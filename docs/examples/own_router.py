"""A router of one's own: the longer the prompt, the stronger the model."""

from experiments.routers.routellm_adapter import Router


class LengthRouter(Router):  # type: ignore[misc]
    """Prompts of `longest` characters and more score 1."""

    NO_PARALLEL = True

    def __init__(self, longest: int = 1000) -> None:
        self.longest = longest

    def calculate_strong_win_rate(self, prompt: str) -> float:
        return min(1.0, len(prompt) / self.longest)


if __name__ == "__main__":
    print(LengthRouter(longest=20).calculate_strong_win_rate("Why is the sky blue?"))
