"""RouteLLM's own five routers through its Controller, and what is known to trip there."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.core.policy import PolicyRouter
from experiments.routers.errors import RouterConfigurationError
from tests.routers.conftest import DIMENSIONS, EmbeddingsStub
from tests.routers.routellm_process import ForeignError

InProcess = Callable[..., Any]
PROMPT = "Prove that the square root of two is irrational?"


def configured(kind: str, **arguments: object) -> PolicyRouter:
    return PolicyRouter(kind, kind, local=False, arguments=arguments)


def mf(checkpoints: Path, **more: object) -> PolicyRouter:
    sizes = {"hidden_size": 8, "text_dim": DIMENSIONS}
    return configured("mf", checkpoint_path=str(checkpoints / "mf"), **sizes, **more)


def bert(checkpoints: Path) -> PolicyRouter:
    return configured("bert", checkpoint_path=str(checkpoints / "bert"))


def sw_ranking(checkpoints: Path, **more: object) -> PolicyRouter:
    return configured(
        "sw_ranking",
        arena_battle_datasets=[str(checkpoints / "battles")],
        arena_embedding_datasets=[str(checkpoints / "embeddings")],
        num_tiers=3,
        **more,
    )


# What runs in the process that has imported RouteLLM


def win_rate(router: PolicyRouter) -> tuple[str, float]:
    """The type of what RouteLLM's router itself returns, and what ours makes of it."""
    from experiments.routers.building import build
    from experiments.routers.features import featurise

    built = build(router)
    raw = built.instance.calculate_strong_win_rate(PROMPT)
    return type(raw).__name__, built.score(featurise(PROMPT))


def routed(router: PolicyRouter, thresholds: tuple[float, ...]) -> list[str]:
    from experiments.routers.controller import build_controller

    controller = build_controller(
        {router.name: router}, strong_model="gpt-strong", weak_model="gpt-weak"
    )
    return [controller.route(PROMPT, router.name, threshold) for threshold in thresholds]


def batch(router: PolicyRouter, prompts: list[str]) -> list[float]:
    import pandas as pd

    from experiments.routers.controller import build_controller

    controller = build_controller({router.name: router}, strong_model="s", weak_model="w")
    rates = controller.batch_calculate_win_rate(pd.Series(prompts), router.name)
    return [float(rate) for rate in rates]


def completion_model(model: str, content: object) -> str:
    """Which model a chat through the Controller would go to: LiteLLM is asked for a mock answer."""
    from experiments.routers.controller import build_controller

    controller = build_controller(
        {"length": configured("length", longest=20)},
        strong_model="openai/gpt-4.1",
        weak_model="openai/gpt-4.1-mini",
    )
    messages = [{"role": "user", "content": content}]
    answer = controller.completion(model=model, messages=messages, mock_response="Yes.")
    assert answer.choices[0].message.content == "Yes."
    return str(next(iter(controller.model_counts["length"])))


def check(kind: str, arguments: dict[str, object]) -> None:
    from experiments.routers.building import check_router

    check_router(kind, arguments)


def openai_client() -> tuple[str, str, float, int]:
    from experiments.routers.routellm_adapter import OPENAI_CLIENT as CLIENT

    return str(CLIENT.base_url), CLIENT.api_key, CLIENT.timeout, CLIENT.max_retries


def environment_after_the_import() -> tuple[str | None, str | None]:
    from experiments.routers import routellm_adapter

    assert routellm_adapter.ROUTER_CLS
    return os.environ.get("OPENAI_API_KEY"), os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP")


def refusal_of_mf(checkpoints: Path, base_url: str | None) -> str:
    """What checking `mf` says when OPENAI_BASE_URL had been this while RouteLLM was imported."""
    from experiments.routers import routellm_adapter

    used, environment = routellm_adapter.OPENAI_CLIENT.base_url, os.environ.pop("OPENAI_BASE_URL")
    try:
        if base_url is None:
            routellm_adapter.OPENAI_CLIENT.base_url = "https://api.openai.com/v1"
        else:
            os.environ["OPENAI_BASE_URL"] = base_url
        check("mf", dict(mf(checkpoints).arguments))
    except RouterConfigurationError as error:
        return str(error)
    finally:
        routellm_adapter.OPENAI_CLIENT.base_url = used
        os.environ["OPENAI_BASE_URL"] = environment
    return ""


def upstream_controller(kind: str) -> tuple[str, list[float]]:
    """RouteLLM's own class, used as its README does. Also: what two prompts score."""
    import pandas as pd

    from experiments.routers.routellm_adapter import upstream

    controller = upstream.Controller(
        routers=[kind], strong_model="openai/gpt-4.1", weak_model="openai/gpt-4.1-mini"
    )
    rates = controller.batch_calculate_win_rate(pd.Series([PROMPT, "Hello"]), kind)
    controller.completion(
        model=f"router-{kind}-0.0",
        messages=[{"role": "user", "content": PROMPT}],
        mock_response="Yes.",
    )
    return next(iter(controller.model_counts[kind])), list(rates)


def calibrated(kind: str, folder: Path) -> str:
    """RouteLLM's calibration script, on the win rates 0.00 to 0.99."""
    import pandas as pd

    from experiments.routers import upstream

    dataset = folder / "routellm" / "lmsys-arena-human-preference-55k-thresholds"
    dataset.mkdir(parents=True)
    frame = pd.DataFrame({kind: [number / 100 for number in range(100)]})
    frame.to_parquet(dataset / "train.parquet")
    arguments, here, said = sys.argv, Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(said):
            upstream.main("calibrate_threshold", "--routers", kind, "--strong-model-pct", "0.25")
    finally:
        sys.argv = arguments
        os.chdir(here)
    return said.getvalue().strip()


# The five


def test_random_works_as_it_is(in_routellm_process: InProcess) -> None:
    kind, score = in_routellm_process(win_rate, configured("random"))
    assert kind == "float"
    assert 0 <= score <= 1
    assert in_routellm_process(routed, configured("random"), (0.0, 1.0)) == [
        "gpt-strong",
        "gpt-weak",
    ]


def test_mf_scores_with_embeddings_of_the_configured_endpoint(
    in_routellm_process: InProcess,
    checkpoints: Path,
    embeddings_stub: tuple[str, type[EmbeddingsStub]],
) -> None:
    kind, score = in_routellm_process(win_rate, mf(checkpoints))
    assert (kind, score) == ("float", pytest.approx(0.52369, abs=1e-4))
    assert embeddings_stub[1].requests[-1] == {
        "path": "/v1/embeddings",
        "key": "Bearer placeholder-not-a-key",
        "input": [PROMPT],
        "model": "text-embedding-3-small",
        "encoding_format": "base64",
    }


def test_mf_routes_by_its_threshold(in_routellm_process: InProcess, checkpoints: Path) -> None:
    _, score = in_routellm_process(win_rate, mf(checkpoints))
    models = in_routellm_process(routed, mf(checkpoints), (score - 0.01, score + 0.01))
    assert models == ["gpt-strong", "gpt-weak"]


def test_bert_returns_a_numpy_scalar_and_the_score_is_a_float(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    kind, score = in_routellm_process(win_rate, bert(checkpoints))
    assert (kind, type(score)) == ("float32", float)
    assert score == pytest.approx(0.33355, abs=1e-4)


def test_sw_ranking_scores_from_local_parquet_files(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    kind, score = in_routellm_process(win_rate, sw_ranking(checkpoints))
    assert (kind, type(score)) == ("float64", float)
    assert score == pytest.approx(0.56662, abs=1e-4)


def test_sw_ranking_scores_batches_without_pandarallel(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    rates = in_routellm_process(batch, sw_ranking(checkpoints), ["Why?", "Why is that so?"])
    assert len(rates) == 2


def test_causal_llm_without_cuda_is_refused(in_routellm_process: InProcess) -> None:
    arguments = {"checkpoint_path": "routellm/causal_llm_gpt4_augmented"}
    with pytest.raises(RouterConfigurationError, match="no CUDA device") as refused:
        in_routellm_process(check, "causal_llm", arguments)
    assert "has not been brought from the hub" in str(refused.value)


def test_causal_llm_from_a_folder_is_refused(
    in_routellm_process: InProcess, tmp_path: Path
) -> None:
    with pytest.raises(RouterConfigurationError, match="takes its prompts from the hub"):
        in_routellm_process(check, "causal_llm", {"checkpoint_path": str(tmp_path)})


# Ours in RouteLLM's own hands


@pytest.mark.parametrize("kind", ["local", "local_mf", "length"])
def test_routellms_own_controller_knows_our_kinds(
    in_routellm_process: InProcess, kind: str
) -> None:
    model, rates = in_routellm_process(upstream_controller, kind)
    assert model == "openai/gpt-4.1"
    assert 0 <= rates[1] < rates[0] <= 1


@pytest.mark.parametrize("kind", ["local", "local_mf", "length"])
def test_routellms_calibration_knows_our_kinds(
    in_routellm_process: InProcess, tmp_path: Path, kind: str
) -> None:
    assert in_routellm_process(calibrated, kind, tmp_path) == (
        f"For 25.0% strong model calls for {kind}, threshold = 0.7425"
    )


# The traps


def test_the_client_goes_to_the_configured_address_and_gives_up_some_day(
    in_routellm_process: InProcess, embeddings_stub: tuple[str, type[EmbeddingsStub]]
) -> None:
    found = in_routellm_process(openai_client)
    assert found == (f"{embeddings_stub[0]}/", "placeholder-not-a-key", 30.0, 1)


def test_the_placeholder_key_is_gone_after_the_import_and_no_prices_are_downloaded(
    in_routellm_process: InProcess,
) -> None:
    assert in_routellm_process(environment_after_the_import) == (None, "True")


def test_a_router_that_calls_openai_is_refused_on_the_placeholder_key(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    message = in_routellm_process(refusal_of_mf, checkpoints, None)
    assert message.startswith("A router of kind 'mf' asks OpenAI for an embedding")
    assert "OPENAI_API_KEY is not set" in message


def test_an_address_set_after_the_import_is_named(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    message = in_routellm_process(refusal_of_mf, checkpoints, "http://127.0.0.1:9/v1")
    assert "not OPENAI_BASE_URL=http://127.0.0.1:9/v1" in message
    assert "restart" in message


def test_a_model_string_names_router_and_threshold(in_routellm_process: InProcess) -> None:
    strong = in_routellm_process(completion_model, "router-length-0.5", "A prompt that is long")
    weak = in_routellm_process(completion_model, "router-length-0.5", "Short")
    assert (strong, weak) == ("openai/gpt-4.1", "openai/gpt-4.1-mini")


def test_content_in_parts_is_routed_by_its_text(in_routellm_process: InProcess) -> None:
    parts = [
        {"type": "text", "text": "A prompt that "},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "is long"},
    ]
    model = in_routellm_process(completion_model, "router-length-0.5", parts)
    assert model == "openai/gpt-4.1"


@pytest.mark.parametrize("model", ["gpt-4", "router-length", "length", "mouter-length-0.5"])
def test_a_model_that_is_no_router_string_is_refused_with_the_form(
    in_routellm_process: InProcess, model: str
) -> None:
    with pytest.raises(ForeignError) as refused:
        in_routellm_process(completion_model, model, "Hello")
    assert str(refused.value) == (
        f"RoutingError: Model '{model}' is not of the form 'router-<name>-<threshold>', for "
        "example 'router-length-0.5'."
    )


def test_a_router_name_with_a_hyphen_is_refused(in_routellm_process: InProcess) -> None:
    router = PolicyRouter("my-random", "random", local=False)
    with pytest.raises(RouterConfigurationError, match="'my_random'"):
        in_routellm_process(routed, router, (0.5,))


def test_an_unknown_model_is_refused_with_those_there_are(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    router = mf(checkpoints, strong_model="gpt-9")
    with pytest.raises(RouterConfigurationError, match=r"strong_model 'gpt-9'.*gpt-4-1106-preview"):
        in_routellm_process(check, "mf", dict(router.arguments))


def test_a_model_without_battles_is_refused_by_sw_ranking(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    router = sw_ranking(checkpoints, weak_model="gpt-9")
    with pytest.raises(RouterConfigurationError, match=r"weak_model 'gpt-9'.*vicuna-7b"):
        in_routellm_process(check, "sw_ranking", dict(router.arguments))


def test_an_unknown_argument_is_refused_with_those_there_are(
    in_routellm_process: InProcess,
) -> None:
    with pytest.raises(
        RouterConfigurationError, match=r"'treshold'.*checkpoint_path, num_labels=3"
    ):
        in_routellm_process(check, "bert", {"checkpoint_path": "x", "treshold": 1})


def test_a_missing_argument_is_refused(in_routellm_process: InProcess) -> None:
    with pytest.raises(RouterConfigurationError, match="missing a required argument"):
        in_routellm_process(check, "bert", {})


def test_a_checkpoint_that_is_not_here_is_refused_with_how_to_bring_it(
    in_routellm_process: InProcess,
) -> None:
    arguments = {"checkpoint_path": "routellm/bert_gpt4_augmented"}
    with pytest.raises(RouterConfigurationError, match="hf download routellm/bert_gpt4_augmented"):
        in_routellm_process(check, "bert", arguments)


def test_a_checkpoint_of_another_shape_is_refused(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    arguments = {"checkpoint_path": str(checkpoints / "mf")}
    with pytest.raises(RouterConfigurationError, match="size mismatch"):
        in_routellm_process(check, "mf", arguments)


def test_a_folder_without_a_checkpoint_is_refused(
    in_routellm_process: InProcess, tmp_path: Path
) -> None:
    with pytest.raises(RouterConfigurationError, match="cannot be built"):
        in_routellm_process(check, "bert", {"checkpoint_path": str(tmp_path)})


def test_a_class_of_ones_own_that_is_no_router_is_refused(in_routellm_process: InProcess) -> None:
    with pytest.raises(RouterConfigurationError, match="no subclass of routellm"):
        in_routellm_process(check, "imposter", {})


def test_a_class_of_ones_own_that_is_not_there_is_refused(in_routellm_process: InProcess) -> None:
    with pytest.raises(RouterConfigurationError, match="cannot be imported"):
        in_routellm_process(check, "absent", {})
