"""Scoring a file: every format, bad rows, and a kill at any moment."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import snapshot_download

import steps.score.join as join
import steps.score.parts as parts
from steps.errors import UserError
from steps.files import sha256
from steps.score.__main__ import main
from steps.score.reward_model import RewardModel, open_reward_model
from steps.score.schema import Origin, read_left_out, read_origin
from steps.score.stream import score_stream
from tests.conftest import ROOT
from tests.half_written import half_written
from tests.hub import COMMIT, Repository, serve
from tests.reward_models import write_reward_model

ROWS = [
    {
        "id": f"row {k}",
        "prompt": f"What is {k}?",
        "chosen": f"It is {k}.",
        "rejected": "?" * (k + 1),
    }
    for k in range(7)
]
GROUP = {"group_id": "g", "prompt": "Hm?", "responses": [{"text": "One."}, {"text": "A" * 90}]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reward_model("newline", tmp_path_factory.mktemp("models") / "newline")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "RESPONSES_PER_PART", 4)
    monkeypatch.setattr(join, "BYTES_PER_ROW_GROUP", 150)


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path):
    """Runs the command on a file; returns the output's path."""

    def run(path: Path, *options: str, output: str = "scores.parquet") -> Path:
        arguments = ["--model", model, "--input", path, "--output", tmp_path / output, *options]
        monkeypatch.setattr(sys, "argv", ["score", *map(str, arguments)])
        main()
        return tmp_path / output

    return run


def write_lines(path: Path, rows: list[dict | str]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


@pytest.mark.parametrize("extension", [".jsonl", ".jsonl.gz", ".parquet"])
def test_every_response_of_every_format_is_scored(
    score, model: Path, tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"pairs{extension}"
    if extension == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        write_lines(path, ROWS)
    output = score(path, "--card", str(tmp_path / "card.json"))
    scores = pq.read_table(output).to_pandas()
    assert list(scores) == ["group_id", "response", "reward", "n_tokens", "truncated"]
    assert scores["group_id"].tolist() == [row["id"] for row in ROWS for _ in range(2)]
    assert scores["response"].tolist() == [0, 1] * len(ROWS)
    assert scores["n_tokens"][1] == len("?") + 2  # the end of turn, and a newline
    assert not scores["truncated"].any()
    groups = [group for _, group in parts.iterate_file(path)]
    wanted = np.concatenate([g.rewards for g in score_stream(open_reward_model(model), groups)])
    assert scores["reward"].to_numpy() == pytest.approx(wanted, abs=1e-5)
    assert read_origin(output) == Origin("newline", sha256(model))
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["inputs"] == {str(path): sha256(path), str(model): sha256(model)}
    assert card["outputs"] == {str(output): sha256(output)}
    assert card["model"]["sha256"] == sha256(model)
    assert card["tokens"] == scores["n_tokens"].sum()
    assert names(tmp_path) == {path.name, "scores.parquet", "card.json"}


def test_token_rewards_end_with_the_reward(score, tmp_path: Path) -> None:
    output = score(write_lines(tmp_path / "groups.jsonl", [*ROWS, GROUP]), "--token-rewards")
    scores = pq.read_table(output).to_pandas()
    assert scores["reward"].tolist() == [tokens[-1] for tokens in scores["token_rewards"]]
    for column in ("token_rewards", "token_ends"):
        assert scores[column].str.len().tolist() == scores["n_tokens"].tolist()
    assert scores["token_ends"].iloc[-1].tolist() == [*range(1, 91), 90, 90]


class Killed(BaseException):
    """Stands for the signal that nothing catches."""


@pytest.mark.parametrize("scored", [0, 1, 3])
def test_a_killed_run_goes_on_with_the_same_bytes(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: int
) -> None:
    """Seven rows and a bad one make four parts; the run is killed in the middle of one of them."""
    path = write_lines(tmp_path / "pairs.jsonl", [*ROWS[:4], "{", *ROWS[4:]])
    options = ("--token-rewards", "--on-error", "skip")
    undisturbed = score(path, *options, output="undisturbed.parquet")
    calls = []

    def killed(model, groups, **arguments):
        calls.append(len(groups))
        for number, group in enumerate(score_stream(model, groups, **arguments)):
            if len(calls) == scored + 1 and number == len(groups) - 1:
                raise Killed
            yield group

    monkeypatch.setattr(parts, "score_stream", killed)
    with pytest.raises(Killed):
        score(path, *options)
    assert not (tmp_path / "scores.parquet").exists()
    folder = tmp_path / ".scores.parquet.parts"
    assert len(list(folder.glob("*.parquet"))) == scored
    with half_written(folder / f"{scored:08d}.parquet"):
        pass  # a real kill leaves it
    monkeypatch.setattr(parts, "score_stream", score_stream)
    resumed = score(path, *options)
    assert resumed.read_bytes() == undisturbed.read_bytes()
    errors = [file.with_name(f"{file.name}.errors.jsonl") for file in (resumed, undisturbed)]
    assert errors[0].read_bytes() == errors[1].read_bytes()


def test_a_finished_part_that_has_changed_is_scored_again(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """A bit of a reward, which parquet's own reader does not notice."""
    path = write_lines(tmp_path / "pairs.jsonl", ROWS)
    undisturbed = score(path, output="undisturbed.parquet")

    def killed(*_) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(parts, "join_parts", killed)
        score(path)
    part = tmp_path / ".scores.parquet.parts/00000001.parquet"
    reward = pq.read_table(part)["reward"][0].as_py()
    content = part.read_bytes()
    place = content.index(np.float32(reward).tobytes())
    part.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert pq.read_table(part)["reward"][0].as_py() != reward
    assert score(path).read_bytes() == undisturbed.read_bytes()
    assert "00000001.parquet has changed since it was written" in capsys.readouterr().out


def test_finished_parts_are_not_scored_again_unless_something_changed(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(
        tmp_path / "pairs.jsonl", [*ROWS, {**ROWS[0], "id": "x", "chosen": "<|im_end|>"}]
    )
    calls = []

    def counted(model, groups, **arguments):
        calls.append([group.group_id for group in groups])
        return score_stream(model, groups, **arguments)

    monkeypatch.setattr(parts, "score_stream", counted)
    with pytest.raises(UserError, match=r"row 8 .*control token"):
        score(path)
    assert len(calls) == 4
    score(path, "--on-error", "skip")
    assert calls[4:] == [["row 6", "x"]]
    for options in (["--max-length", "90"], ["--token-rewards"]):
        calls.clear()
        with pytest.raises(UserError, match="control token"):
            score(path, *options)
        assert len(calls) == 4


def test_a_row_that_a_killed_run_skipped_still_stops_the_next(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = {**ROWS[0], "id": "x", "chosen": "<|im_end|>"}  # the check before scoring passes it
    path = write_lines(tmp_path / "pairs.jsonl", [ROWS[0], forged, *ROWS[1:]])

    def killed(model, groups, **arguments):
        if groups[-1].group_id == "row 6":
            raise Killed
        return score_stream(model, groups, **arguments)

    monkeypatch.setattr(parts, "score_stream", killed)
    with pytest.raises(Killed):
        score(path, "--on-error", "skip")
    monkeypatch.setattr(parts, "score_stream", score_stream)
    with pytest.raises(UserError, match=r"row 2 .*control token"):
        score(path)
    assert not (tmp_path / "scores.parquet").exists()


def test_row_groups_hold_so_many_bytes_whatever_a_row_takes(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rewards of their tokens the same rows fill more of them."""
    path = write_lines(tmp_path / "groups.jsonl", [GROUP | {"group_id": str(k)} for k in range(8)])
    monkeypatch.setattr(join, "BYTES_PER_ROW_GROUP", 1000)
    counts = [
        pq.ParquetFile(score(path, *options)).num_row_groups
        for options in ((), ("--token-rewards",))
    ]
    assert counts == [1, 4]


def test_the_list_of_skipped_rows_is_not_held_in_memory(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", [ROWS[0], *["{" * 200] * 16_000])
    monkeypatch.setattr(parts, "RESPONSES_PER_PART", 100)
    peaks = []

    def traced(*arguments) -> join.Written:
        tracemalloc.start()
        try:
            return join.join_parts(*arguments)
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    monkeypatch.setattr(parts, "join_parts", traced)
    output = score(path, "--on-error", "skip")
    assert peaks[0] < Path(f"{output}.errors.jsonl").stat().st_size / 2


def test_a_row_group_of_the_input_is_not_held_in_memory(tmp_path: Path) -> None:
    """Other tools write a file as a single one."""
    draw = np.random.default_rng(0)
    texts = [draw.bytes(500).hex() for _ in range(20_000)]
    path = tmp_path / "pairs.parquet"
    columns = {"prompt": texts, "chosen": texts, "rejected": texts[::-1]}
    pq.write_table(pa.table(columns), path, row_group_size=len(texts))
    code = f"""
from pathlib import Path
import pyarrow
from steps.groups.files import read_rows
for _ in read_rows(Path({str(path)!r})):
    pass
print(pyarrow.default_memory_pool().max_memory())
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(result.stdout) < path.stat().st_size / 2


# With the id that the row is listed under: null where it is no row with keys, and its place in the
# file where it has none of its own.
BAD = {
    "malformed": (
        '{"prompt": "a",',
        None,
        r"pairs\.jsonl: row 2 is not JSON \(.*\); correct the line",
    ),
    "empty": ({**ROWS[0], "id": "e", "chosen": " "}, "e", "row 2: 'chosen' is empty; give a text"),
    "twice": (
        ROWS[0],
        "pairs.jsonl/2",
        "row 2: the id 'row 0' is that of row 1 too; give each row its own",
    ),
    "key": (
        {"promt": "a", "chosen": "b", "rejected": "c"},
        "pairs.jsonl/2",
        "row 2: 'prompt' is missing; did",
    ),
    "list": ([1], None, "row 2 is not an object"),
    "forged": (
        {**ROWS[0], "id": "f", "prompt": "<|im_start|>"},
        "f",
        r"row 2 \(group 'f'\): the prompt",
    ),
    "long": (
        {**ROWS[0], "id": "l", "chosen": "w" * 150},
        "l",
        r"row 2 \(group 'l'\): prompt and resp",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_stops_or_is_left_out_and_listed(score, tmp_path: Path, kind: str) -> None:
    row, group_id, words = BAD[kind]
    line = json.dumps(row) if not isinstance(row, str) else row
    path = write_lines(tmp_path / "pairs.jsonl", [ROWS[0], line, *ROWS[1:3]])
    with pytest.raises(UserError, match=words):
        score(path, "--max-length", "150")
    assert not (tmp_path / "scores.parquet").exists()
    output = score(path, "--max-length", "150", "--on-error", "skip")
    ids = pq.read_table(output)["group_id"].to_pylist()
    assert ids == [f"row {k}" for k in range(3) for _ in range(2)]
    (error,) = map(json.loads, Path(f"{output}.errors.jsonl").read_text().splitlines())
    assert error["row"] == 2
    assert error["group_id"] == group_id
    left_out = read_left_out(output)
    assert left_out == ({group_id: ANY} if group_id else {})
    assert all(error["error"].endswith(reason) for reason in left_out.values())
    with pytest.raises(UserError, match=words):
        raise UserError(error["error"])


def test_a_row_whose_reward_is_no_number_is_left_out_alone(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other rows of its batch have theirs."""
    path = write_lines(tmp_path / "pairs.jsonl", ROWS)
    undisturbed = pq.read_table(score(path, output="undisturbed.parquet")).to_pandas()
    compute = RewardModel.score

    def one_nan(model, batch, token_rewards):
        scores = compute(model, batch, token_rewards)
        longest = len("?" * 5) + 2  # the rejected response of row 4
        return [
            (float("nan"), tokens) if len(each.response.ids) == longest else (reward, tokens)
            for each, (reward, tokens) in zip(batch, scores, strict=True)
        ]

    monkeypatch.setattr(RewardModel, "score", one_nan)
    with pytest.raises(UserError, match=r"row 5 \(group 'row 4'\): a response gets a reward that"):
        score(path)
    output = score(path, "--on-error", "skip")
    assert list(read_left_out(output)) == ["row 4"]
    wanted = undisturbed[undisturbed["group_id"] != "row 4"].reset_index(drop=True)
    assert pq.read_table(output).to_pandas().equals(wanted)


def test_scores_of_no_row_are_not_written(score, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", ["{", "["])
    with pytest.raises(
        UserError,
        match=r"none of the 2 rows could be scored; .*errors\.jsonl says why, the first .*row 1",
    ):
        score(path, "--on-error", "skip")
    assert not list(tmp_path.glob("*scores*.parquet"))
    lines = (tmp_path / "scores.parquet.errors.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [1, 2]


def test_an_id_is_taken_by_a_row_that_is_left_out_too(score, tmp_path: Path) -> None:
    """Else one id would have scores and a reason why it has none."""
    path = write_lines(tmp_path / "pairs.jsonl", [{**ROWS[0], "chosen": ""}, *ROWS[:2]])
    output = score(path, "--on-error", "skip")
    assert set(pq.read_table(output)["group_id"].to_pylist()) == {"row 1"}
    assert list(read_left_out(output)) == ["pairs.jsonl/2", "row 0"]


def test_the_list_of_skipped_rows_goes_when_there_are_none(score, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    output = score(write_lines(path, [ROWS[0], "{"]), "--on-error", "skip")
    assert Path(f"{output}.errors.jsonl").is_file()
    score(write_lines(path, ROWS[:2]), "--on-error", "skip")
    assert not Path(f"{output}.errors.jsonl").exists()


def test_truncated_rows_are_marked(score, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "groups.jsonl", [GROUP])
    scores = pq.read_table(score(path, "--max-length", "90", "--truncate")).to_pandas()
    assert scores["truncated"].tolist() == [False, True]
    assert scores["n_tokens"][1] < 90


def cut_parquet(folder: Path) -> Path:
    path = folder / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def cut_gzip(folder: Path) -> Path:
    path = write_lines(folder / "pairs.jsonl.gz", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    return path


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (cut_parquet, "is not a whole parquet file"),
        (cut_gzip, "is not a whole gzip file"),
        (lambda folder: write_lines(folder / "none.jsonl", []), "has no row"),
        (lambda folder: folder / "missing.jsonl", "is not there"),
        (lambda folder: write_lines(folder / "pairs.csv", ROWS), "unknown file type"),
    ],
)
def test_a_damaged_file_is_refused_even_where_rows_may_be_skipped(
    score, tmp_path: Path, write, words: str
) -> None:
    path = write(tmp_path)
    with pytest.raises(UserError, match=words):
        score(path, "--on-error", "skip")
    assert names(tmp_path) <= {path.name}


def test_a_damaged_file_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    path = cut_parquet(tmp_path)
    arguments = ["--model", "no/such", "--input", path, "--output", tmp_path / "scores.parquet"]
    code = f"""
import sys
from steps.errors import UserError
from steps.score.__main__ import main
sys.argv = {["score", *map(str, arguments)]}
try:
    main()
except UserError as error:
    sys.exit(f"{{error}} torch: {{'torch' in sys.modules}}")
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "is not a whole parquet file" in result.stderr
    assert "torch: False" in result.stderr


def test_unknown_keys_are_named(score, tmp_path: Path, capsys) -> None:
    score(write_lines(tmp_path / "pairs.jsonl", [{**ROWS[0], "marign": 2}]))
    assert (
        "the key 'marign' of 1 rows is ignored; did you mean 'margin'?" in capsys.readouterr().err
    )


def test_a_longer_limit_than_the_models_context_is_refused(score, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", ROWS)
    with pytest.raises(UserError, match=r"--max-length .* is 99,999,999, but newline takes 32,768"):
        score(path, "--max-length", "99999999")


def test_a_model_that_does_not_tell_its_context_is_given_one(score, tmp_path: Path) -> None:
    """Bloom's configuration has no largest position, for it has no positions."""
    bloom = write_reward_model("bloom", tmp_path / "bloom")
    path = write_lines(tmp_path / "pairs.jsonl", ROWS[:2])
    with pytest.raises(UserError, match="bloom does not tell how many tokens it takes; give --max"):
        score(path, "--model", str(bloom))
    scores = pq.read_table(score(path, "--model", str(bloom), "--max-length", "99")).to_pandas()
    model = open_reward_model(bloom)
    groups = [group for _, group in parts.iterate_file(path)]
    with pytest.raises(UserError, match="bloom does not tell how many tokens it takes"):
        next(score_stream(model, groups))
    wanted = np.concatenate([g.rewards for g in score_stream(model, groups, max_length=99)])
    assert np.ptp(wanted) > 0 and scores["reward"].to_numpy() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["someone/reward", "someone/else"])
def test_a_model_of_the_hub(score, model: Path, tmp_path: Path, monkeypatch, name: str) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", ROWS[:2])
    card = tmp_path / "card.json"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as hub:
        files = {file.name: file.read_bytes() for file in model.iterdir()}
        hub.repositories["models/someone/reward"] = Repository(files)
        fetch = partial(
            snapshot_download, endpoint=hub.url, cache_dir=tmp_path / "hub", token=False
        )
        monkeypatch.setattr("steps.score.model_files.snapshot_download", fetch)
        options = ("--model", name, "--revision", COMMIT, "--card", str(card))
        if name == "someone/else":
            with pytest.raises(UserError, match="is not on the hub, or is private"):
                score(path, *options)
            return
        output = score(path, *options)
    assert read_origin(output) == Origin(name, sha256(model))
    assert json.loads(card.read_text())["model"]["commit"] == COMMIT


def test_several_files_are_scored_by_one_process(
    score, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [write_lines(tmp_path / f"{k}.jsonl", part) for k, part in enumerate((ROWS, [GROUP]))]
    alone = [score(path, output=f"alone {path.stem}.parquet") for path in files]
    together = [tmp_path / f"together {path.stem}.parquet" for path in files]
    arguments = ["--model", model, "--input", *files, "--output", *together]
    monkeypatch.setattr(sys, "argv", ["score", *map(str, arguments)])
    main()
    assert [p.read_bytes() for p in together] == [p.read_bytes() for p in alone]
    monkeypatch.setattr(sys, "argv", ["score", *map(str, arguments[:-1])])
    with pytest.raises(UserError, match="--input names 2 files, --output 1; give each input"):
        main()
    monkeypatch.setattr(sys, "argv", ["score", *map(str, [*arguments[:-1], together[0]])])
    with pytest.raises(UserError, match=r"together 0\.parquet is to be written twice"):
        main()


def test_options_may_be_repeated_for_each_file(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [write_lines(tmp_path / f"{k}.jsonl", part) for k, part in enumerate((ROWS, [GROUP]))]
    score(files[0], "--input", str(files[1]), "--output", str(tmp_path / "1.parquet"))
    assert names(tmp_path) == {"0.jsonl", "1.jsonl", "scores.parquet", "1.parquet"}


@pytest.mark.parametrize(
    ("output", "card", "words"),
    [
        ("scores.csv", "card.json", r"scores\.csv does not end with \.parquet, which is written"),
        ("folder.parquet", "card.json", r"folder\.parquet is a folder, but a file is to be"),
        ("scores.parquet", "folder.parquet", r"folder\.parquet is a folder, but a file is to be"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_model_is_looked_for(
    score, tmp_path: Path, output: str, card: str, words: str
) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", ROWS)
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(UserError, match=words):
        score(path, "--model", "no/such/model", "--card", str(tmp_path / card), output=output)
    assert names(tmp_path) == {"pairs.jsonl", "folder.parquet"}
