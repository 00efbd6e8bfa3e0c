"""Calibrates what may be believed of several solutions of a photo, on real photos whose truth is
known, and measures on others how often it holds.

    # 8 solutions of each of 200 photos, and of 200 others for the report
    python experiments/calibrate.py --data=photos.tar --labels=photos.csv --method=pulse
    # then, with the same settings
    python experiments/super_resolve.py --input=new_photos --method=pulse --num_solutions=8 \
        --interval=0.9 --calibration=calibrations/pulse/calibration.json
    python experiments/calibrate.py --data=photos --smoke  # a few photos and steps

Each photo's centre square is brought to the prior's resolution, degraded, rounded to 8 bits and
restored --num_solutions times, as super_resolve.py --reference does. A fifth of the photos chooses
the floor of the deviation; the scores of the others become the calibration (split conformal
prediction: `jaxsr.calibration`). It holds for photos like these and for the same settings alone,
and super_resolve.py refuses it for others. Take real photos that the prior was not trained on,
never pictures that a prior drew, and one of each person, slide or film.

OUT holds calibration.json; solutions/, a file a photo, each written when it is done, so that the
same command goes on after a kill; table.md and index.html: coverage on the other photos at 0.8, 0.9
and 0.95 with binomial intervals, by type and by width, widths against errors, and what is not
covered; photos.csv with a row a photo and level; photos.png, the best, the middle and the worst.
More photos may be asked for later: those done stay. The exit status is 3 when some photos could not
be used.
"""

from calibration import judged, photos, searches
from calibration.options import Settings, check, out_folder
from calibration.publish import FILE, publish
from restoration.intervals_made import type_reader

from jaxsr import flags, loading
from jaxsr.methods import METHODS
from jaxsr.operators import OPERATORS
from jaxsr.records import report
from jaxsr.records.files import only_here


def main(settings: Settings) -> int:
    check(settings)
    source = settings.prior or loading.default_source()
    reader = type_reader() if settings.labels else None
    labels = photos.labels_of(settings.labels, reader) if settings.labels and reader else {}
    samples = photos.choose(settings, source)
    bench = searches.open_bench(settings, source)
    folder = out_folder(settings)
    with only_here(folder):
        given = {"seed": settings.seed, "white": settings.white}
        report.begin_record(folder, {"settings": bench.fingerprint | given})
        lost = searches.search_all(bench, folder, samples)
        found = searches.load_all(folder, samples)
        searches.check_apart(found)
        calibrated = judged.calibrate(
            bench, [photo for photo in found if photo.calibrates], reader, labels
        )
        others = [photo for photo in found if not photo.calibrates]
        result = judged.judge(bench, calibrated, others, reader, labels)
        print(publish(bench, calibrated, result, lost, folder))
    print(f"{folder}/index.html shows all of it; give --calibration={folder / FILE}")
    return flags.SOME_FAILED if lost else 0


if __name__ == "__main__":
    told = {"operators": {key: row.summary for key, row in OPERATORS.items()}}
    read_settings = flags.define(Settings(), tables={"methods": METHODS, **told})
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
