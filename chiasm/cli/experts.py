"""chiasm experts: the routing atlas of a trained mixture of experts."""

from __future__ import annotations

from chiasm.cli.options import Cache, Device, EndedRun, check_run, command, with_settings
from chiasm.cli.progress import RunDisplay
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.recipe import load_recipe

DEFAULTS = AtlasSettings()


@with_settings
def experts(
    run: EndedRun,
    settings: AtlasSettings = DEFAULTS,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """What the routers learned, on held-out data; writes experts/atlas.html into the run."""
    check_run(run)
    # With torch, which a mistyped option need not wait for.
    from chiasm.assembly import open_material
    from chiasm.evaluation.atlas.atlas import draw_atlas, refuse_dense
    from chiasm.inference.pretrained import Pretrained
    from chiasm.report.atlas.write import earlier_atlas, write_atlas

    recipe = load_recipe(run / "recipe.toml")
    refuse_dense(recipe.model)  # before anything is rendered
    pretrained = Pretrained.load(run, device)
    with RunDisplay() as display:
        material = open_material(recipe, cache, display.on_stage)
        atlas = draw_atlas(pretrained, material, settings, display.on_stage)
    replaced = earlier_atlas(run)
    files = write_atlas(run, atlas, command())
    print(f"the atlas is {files.page}")
    if replaced:
        print(f"it replaces an earlier one ({replaced})")
