from chiasm.report.curves import flow_figure, loss_figure
from chiasm.report.run_folder import RunFolder


def test_curves_are_read_by_phase_and_nested_name(run_folder):
    run = RunFolder.read(run_folder)
    assert run.curves["train/text_loss"].steps == list(range(1, 301))
    assert run.curves["validation/text_loss"].steps == [50, 100, 150, 200, 250, 300]
    assert run.curves["train/per_source/text/text_loss"].values[0] == 2.0
    assert "width = 128" in run.recipe
    assert run.versions == {"torch": "2.13.0"}


def test_a_line_cut_by_a_kill_is_left_out(run_folder):
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 301, "phase": "tra')
    assert RunFolder.read(run_folder).curves["train/text_loss"].steps[-1] == 300


def test_a_folder_without_a_run_is_empty(tmp_path):
    run = RunFolder.read(tmp_path)
    assert (run.curves, run.recipe, run.versions) == ({}, "", {})
    assert loss_figure(run) == ""


def test_figures_are_svg_elements_that_share_no_identifier(run_folder, evaluation):
    loss, flow = loss_figure(RunFolder.read(run_folder)), flow_figure(evaluation.flow_points)
    for figure in (loss, flow):
        assert figure.startswith("<svg")
        assert figure.rstrip().endswith("</svg>")
    assert "Text loss" in loss
    assert "image_text" in flow


def test_one_phase_alone_is_drawn(run_folder):
    lines = (run_folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run_folder / "metrics.jsonl").write_text("".join(x for x in lines if "train" in x))
    assert "training" in loss_figure(RunFolder.read(run_folder))
