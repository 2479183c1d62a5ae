"""Configurations: what is refused and how it is said, what is committed, what comes back."""

import dataclasses
import re

import pytest

pytest.importorskip("jax")
yaml = pytest.importorskip("yaml")

from martlet.training import card, config, heads, run, stages  # noqa: E402
from martlet.training.config import ConfigError  # noqa: E402
from support import ROOT  # noqa: E402

CONFIGS = sorted((ROOT / "python" / "configs").glob("*.yaml"))
LEAST = {"name": "small", "data": {"folder": "features"}}
TRADING = {"heads": {"names": ["probabilities", "position"]}, "trading": {"fee_bps": 0.1}}


def parsed(**changes):
    return config.parse(yaml.safe_dump(LEAST | changes), "small.yaml")


@pytest.mark.parametrize("changes, text", [
    ({"pruned": {}}, r"no key pruned; did you mean pruning; there are name, data, "),
    ({"training": {"epoch": 3}}, r"no key training\.epoch; did you mean epochs"),
    ({"training": {"seed": 3}}, r"no key training\.seed"),
    ({"pruning": {"is_integer": True}}, r"no key pruning\.is_integer"),
    ({"training": {"epochs": "many"}}, r"training\.epochs is a whole number, not 'many'"),
    ({"training": {"epochs": 2.5}}, r"training\.epochs is a whole number, not 2\.5"),
    ({"training": {"epochs": True}}, r"training\.epochs is a whole number, not True"),
    ({"seed": 2**31}, r"seed is at least 0 and at most 2147483647"),
    ({"training": {"epochs": 0}}, r"training\.epochs is at least 1, not 0"),
    ({"training": {"learning_rate": 0}}, r"training\.learning_rate is above 0, not 0"),
    ({"training": {"clip": float("inf")}}, r"training\.clip is above 0, not inf"),
    ({"training": [1]}, r"training holds keys and values"),
    ({"pruning": {"density": 1}}, r"pruning\.density is above 0 and below 1, not 1"),
    ({"pruning": {"begin": 0.7}}, r"pruning\.begin is below pruning\.end"),
    ({"pruning": {"end": 1}}, r"pruning\.end is at least 0 and below 1, not 1"),
    ({"quantization": {"begin": 1.0}}, r"quantization\.begin is at least 0 and below 1, not 1"),
    ({"training": {"least_settled": 1}}, r"training\.least_settled is at least 0 and below 1, not 1"),
    ({"teachers": [{"name": "a", "network": {"kind": "gru"}, "training": {"least_settled": 1}}]},
     r"teachers\[0\]\.training\.least_settled is at least 0 and below 1"),
    ({"peers": [{"name": "a", "network": {"kind": "gru"}, "training": {"least_settled": 1}}]},
     r"peers\[0\]\.training\.least_settled is at least 0 and below 1"),
    ({"is_tilted": 1}, r"is_tilted is true or false, not 1"),
    ({"baselines": ["tree"]}, r"baselines\[0\] is one of majority, persistence, logistic, mirrored, trees, not 'tree'"),
    ({"baselines": "trees"}, r"baselines is a list"),
    ({"heads": {"names": ["trend", "probabilities"]}}, r"data\.trend_ticks is needed by the head trend"),
    ({"heads": {"names": ["probabilities", "positions"]}}, r"heads\.names\[1\] is one of .*position, not 'positions'"),
    ({"heads": {"names": ["probabilities", "position"]}}, r"position and the section trading.* need each other"),
    ({"trading": {"fee_bps": 0}}, r"the head position and the section trading.* need each other"),
    (TRADING | {"network": {"kind": "mixer"}}, r"trading: a mixer of these options does not stream"),
    (TRADING | {"trading": {}}, r"key trading\.fee_bps is missing"),
    (TRADING | {"trading": {"fee_bps": 101}}, r"trading\.fee_bps is at least -100 and at most 100, not 101"),
    (TRADING | {"trading": {"fee_bps": 0, "latency": -1}}, r"trading\.latency is at least 0 and at most 1000, not -1"),
    (TRADING | {"trading": {"fee_bps": 0, "decay": 1}}, r"trading\.decay is at least 0 and below 1, not 1"),
    (TRADING | {"trading": {"fee_bps": 0, "day_hours": 0}}, r"trading\.day_hours is above 0 and at most 24, not 0"),
    (TRADING | {"trading": {"fee_bps": 0, "objective": "ppo"}}, r"trading\.objective is one of .*, not 'ppo'"),
    (TRADING | {"trading": {"fee_bps": 0, "scale": 1}}, r"no key trading\.scale"),
    ({"heads": {"is_direct": True}, "network": {"kind": "binctabl"}}, r"is_tilted is false where heads\.is_direct"),
    ({"heads": {"names": ["volatility"]}}, r"heads\.names has probabilities"),
    ({"heads": {"names": ["probabilities", "expected_shortfall"]}}, r"heads: .*needs value_at_risk"),
    ({"heads": {"shares": {"trend": -1}}}, r"heads\.shares\.trend is at least 0"),
    ({"network": {"kind": "transformer"}}, r"network\.kind is one of gru, lstm, .*, not 'transformer'"),
    ({"network": {"units": [4]}}, r"network\.kind is one of .*not None"),
    ({"network": {"kind": "gru", "width": 4}}, r"no key network\.width; a gru has .*units"),
    ({"network": {"kind": "gru", "units": ["a"]}}, r"network\.units\[0\] is a whole number"),
    ({"network": {"kind": "gru", "units": []}}, r"network: a recurrent network"),
    ({"network": {"kind": "gru", "units": [16, 0]}}, r"network\.units\[1\] is at least 1, not 0"),
    ({"network": {"kind": "lstm", "dense": [0]}}, r"network\.dense\[0\] is at least 1, not 0"),
    ({"network": {"kind": "gru", "dropout": 1}}, r"network\.dropout is at least 0 and below 1, not 1"),
    ({"network": {"kind": "mlp", "input_dropout": -0.1}}, r"network\.input_dropout is at least 0 and below 1, not -0"),
    ({"network": {"kind": "tcn", "channels": 0}}, r"network\.channels is at least 1, not 0"),
    ({"network": {"kind": "tcn", "kernel": 0}}, r"network\.kernel is at least 1, not 0"),
    ({"network": {"kind": "mixer", "layers": 0}}, r"network\.layers is at least 1, not 0"),
    ({"network": {"kind": "mixer", "window": 0}}, r"network\.window is at least 1, not 0"),
    ({"network": {"kind": "binctabl", "window": 1}}, r"network: BiN-C\(TABL\) normalises over a window of at least 2"),
    ({"network": {"kind": "deeplob", "window": 18}}, r"network: DeepLOB's convolutions leave nothing of a window of 18"),
    ({"network": {"kind": "binctabl", "sizes": [60, 10]}}, r"network\.sizes\[0\] is a list, not 60"),
    ({"network": {"kind": "binctabl", "sizes": [[60, "a"]]}}, r"network\.sizes\[0\]\[1\] is a whole number"),
    ({"network": {"kind": "binctabl", "sizes": [[60]]}}, r"network\.sizes\[0\] is a list of 2, not \[60\]"),
    ({"network": {"kind": "binctabl", "sizes": [[60, 0]]}}, r"network\.sizes\[0\]\[1\] is at least 1, not 0"),
    ({"teachers": [{"name": "a", "network": {"kind": "gru", "dropout": 1.5}}]}, r"a: network\.dropout is at least 0"),
    ({"network": {"kind": "mixer"}, "quantization": {}}, r"quantization: a mixer is not trained quantised"),
    ({"teachers": [{"name": "a"}]}, r"teachers\[0\]\.network is missing"),
    ({"peers": [{"name": "trees", "network": {"kind": "gru"}}]}, r"names of their own"),
    ({"peers": [{"name": "x", "network": {"kind": "none"}}]}, r"x: network\.kind is one of"),
    ({"name": "a/b"}, r"name is letters"),
    ({"name": ".."}, r"name is letters, .* '\.', which is not first, not '\.\.'"),
    ({"name": ""}, r"name is letters"),
    ({"name": "a\n"}, r"name is letters"),
    ({"name": "é"}, r"name is letters"),
    ({"teachers": [{"name": "../x", "network": {"kind": "gru"}}]}, r"teachers\[0\]\.name is letters.* not '\.\./"),
    ({"peers": [{"name": "x", "network": {"kind": "gru"}}, {"name": "", "network": {"kind": "gru"}}]},
     r"peers\[1\]\.name is letters"),
    ({"data": {"folder": "a", "horizons": [10, 20, "10"]}}, r"data\.horizons names 10 ticks twice"),
    ({"data": {"folder": "a", "horizons": ["250ms", "250 ms"]}}, r"data\.horizons names 250 ms twice"),
    ({"heads": {"names": ["probabilities", "volatility", "volatility"]}}, r"heads\.names names volatility twice"),
    ({"baselines": ["trees", "trees"]}, r"baselines names trees twice"),
    ({"heads": {"shares": {"nosuch": 2}}}, r"heads\.shares\.nosuch is of no loss of heads\.names: .* probabilities"),
    ({"heads": {"names": ["probabilities", "value_at_risk", "expected_shortfall"],
                "shares": {"expected_shortfall": 2}}},
     r"heads\.shares\.expected_shortfall is of no loss .* both risks have one, value_at_risk"),
    ({"name": None}, r"name is text, not None"),
    ({"data": {}}, r"data has one of feeds, recordings"),
    ({"data": {"folder": "a", "feeds": ["b"]}}, r"data has one of feeds, recordings"),
    ({"data": {"folder": "a", "horizons": ["ten"]}}, r"data\.horizons: a horizon is a number of ticks"),
    ({"data": {"folder": "a", "horizons": [10, 20], "alphas": [1e-5]}}, r"a threshold for each of 2 horizons"),
    ({"data": {"folder": "a", "shares": [0.5, 0.2, 0.2]}}, r"data\.shares are three and sum to 1"),
    ({"data": {"folder": "a", "format": "csv"}}, r"data\.format is one of dbn, lobster, binance"),
])
def test_what_cannot_be_used_is_said_in_one_line_with_its_key(changes, text):
    with pytest.raises(ConfigError, match=rf"^small\.yaml: .*{text}") as caught:
        parsed(**changes)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_configuration_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no.yaml: No such file"):
        config.load(tmp_path / "no.yaml")
    for text, message in [
            ("a: [", "is no YAML"), ("text", "holds keys and values"), ("data: {folder: a}", "key name is missing")]:
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message) as caught:
            config.load(tmp_path / "a.yaml")
        assert "\n" not in str(caught.value)


def test_numbers_are_read_as_people_write_them():
    found = parsed(
        training={"learning_rate": "1e-3", "weight_decay": 0}, data={"folder": "a", "horizons": [10, "250ms"]})
    assert found.training.learning_rate == 1e-3 and found.training.weight_decay == 0.0
    assert found.data.horizons == (10, "250ms")


def test_shares_are_of_the_heads_that_there_are():
    names = ["probabilities", "value_at_risk", "expected_shortfall"]
    found = parsed(
        heads={"names": names, "shares": {"value_at_risk": 0.5}}, data={"folder": "a", "horizons": [10, "10ms"]})
    assert found.heads.shares == {"value_at_risk": 0.5}


def test_sizes_of_layers_may_be_lists_of_lists():
    found = parsed(network={"kind": "binctabl", "sizes": [[20, 6], [18, 4]]})
    assert config.network_of(found.network, False, 1).sizes == ((20, 6), (18, 4))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_named_as_their_files_and_come_back(path):
    found = config.load(path)
    assert found.name == path.stem
    assert config.parse(config.as_text(found)) == found
    for options in (found.network, *(peer.network for peer in (*found.teachers, *found.peers))):
        hash(config.network_of(options, False, 1))


def test_the_card_of_the_shipped_multihead_model_holds_its_configuration():
    path = ROOT / "python" / "configs" / "multihead.yaml"
    assert card.read_config(ROOT / "models" / "multihead.md") == config.load(path)
    assert config.load(path).heads.names == heads.NAMES


def test_the_configurations_are_there():
    assert {path.stem for path in CONFIGS} >= {"default", "goog", "btcusdt-int8", "multihead", "lstm-a"}
    lstm = config.load(ROOT / "python" / "configs" / "lstm-a.yaml")
    assert lstm.network["units"] == [100, 100] and lstm.pruning.density <= 0.1


def test_every_key_is_described():
    text = (ROOT / "docs" / "MODELS.md").read_text()
    kinds = (config.Config, config.DataSettings, config.HeadSettings, config.TradingSettings, config.Peer,
             config.Settings, config.Pruning, config.Quantization, config.Distillation)
    missing = {name for kind in kinds for name in config._keys(kind) if not re.search(rf"`{name}`", text)}
    assert not missing


def test_blocks_are_those_of_the_precision():
    assert not {field.name for field in dataclasses.fields(config.Pruning)} <= set(config._keys(config.Pruning))
    assert stages.expanded is config.expanded


@pytest.mark.parametrize("key", ["feeds", "folder"])
def test_a_variable_that_is_not_set_is_named_with_its_key(monkeypatch, tmp_path, key):
    monkeypatch.setenv("SET", "/there")
    monkeypatch.delenv("UNSET", raising=False)
    assert str(config.expanded("$SET/a", "data.feeds")) == "/there/a"
    found = parsed(data={key: "$UNSET/a" if key == "folder" else ["$UNSET/a"]})
    with pytest.raises(ConfigError, match=rf"^data\.{key}: \$UNSET/a names a variable that is not set"):
        run.open_folder(found, tmp_path / "run", False)
