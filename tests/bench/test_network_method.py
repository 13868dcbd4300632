"""The shipped network in the benchmark."""

import numpy as np
import pytest

from bench.conditions import SceneConfig
from bench.methods import EVERYTHING, tune
from bench.ours import NETWORK, NETWORK_SINGLE, network_methods
from bench.scenes import simulate_scene
from bench.scoring import match_scene
from model.card import SHIPPED_MODEL


@pytest.mark.skipif(not SHIPPED_MODEL.exists(), reason=f"no network is shipped as {SHIPPED_MODEL.name}")
def test_three_frames_and_one_are_two_methods_that_are_not_tuned() -> None:
    scene = simulate_scene(SceneConfig(density_um2=0.3, size=64), 2, 3, seed=1)
    whole, single = network_methods(None)
    assert (whole.name, single.name) == (NETWORK, NETWORK_SINGLE)
    assert tune(whole, scene) == ((), EVERYTHING)
    assert whole.describe((), EVERYTHING) == ""
    three, one = (method.locate(scene, (), EVERYTHING).by_frame(6) for method in (whole, single))
    assert match_scene(scene, three).jaccard > 0.9
    assert match_scene(scene, one).jaccard > 0.9
    assert any(len(a) != len(b) or not np.allclose(a, b) for a, b in zip(three, one, strict=True))
