"""The generated corpus: every file is accepted and keeps its colours."""

from pathlib import Path

from tests.core.images import pictures
from tests.core.images.made_up import made_up
from tests.tools import corpus


async def test_every_file_of_the_generated_corpus_keeps_its_colours() -> None:
    report = await corpus.run_made_up()
    assert (report.crashed, report.hung, report.damaged, dict(report.refused)) == ([], [], [], {})
    assert report.accepted == len(made_up()) >= 180
    assert {name: report.off[name] for name in report.wrong} == {}
    assert len(report.off) >= report.accepted - 12
    assert report.peak_bytes > 0


async def test_the_corpus_report_names_refused_files(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "b.tif").write_bytes(pictures.encoded(pictures.scene(), "TIFF")[:5000])
    (tmp_path / "c.png").write_bytes(pictures.encoded(pictures.scene(), "PNG"))
    report = await corpus.run(tmp_path)
    text = "\n".join(report.lines())
    assert report.damaged == ["b.tif"]
    for words in ("accepted                          1", "refused: not_an_image pdf", "refused: damaged_image", "MB"):
        assert words in text
