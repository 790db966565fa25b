import shutil
import pytest
@pytest.mark.parametrize("n", range(12))
def test_smoke(trial, kafka, n):
    one = trial(kafka)
    one.send(300)
    import trial as t
    t.STALLED = 10
    try:
        one.report(one.finish())
    finally:
        shutil.copytree(one.fleet.folder, f"/tmp/kept/{n}", dirs_exist_ok=True)
