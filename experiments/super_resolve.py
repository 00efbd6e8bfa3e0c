"""Restores low-resolution photos with a GAN prior and writes them, a grid and a table.

    python experiments/super_resolve.py  # the bundled prior on its bundled examples, into results/
    # a folder, a file or a quoted pattern; repeatable
    python experiments/super_resolve.py --input=photos --out=restored
    # sharp photos: degraded, restored, scored against
    python experiments/super_resolve.py --reference=photos --factor=8
    # an archive, as it is; short flags; names and format of the results
    python experiments/super_resolve.py -i photos.zip -o restored --suffix=x8 --format=jpg
    # two photos, a few steps: a minute, nearly all of it compiling
    python experiments/super_resolve.py --smoke

OUT holds <name>.png for each photo (<name>_s0.png, <name>_s1.png, ... with several solutions;
--suffix and --format change both ends), grid.png, results.csv with a row for each, and config.json
with every setting. Two photos of one name become <name> and <name>_2. Results are written as they
are done; the same command again does only what is missing, whatever stopped it, and photos that
came since: what was restored keeps its name. Each picture's file says that a trained model made it
(IPTC's digital source type), with what settings, and when the photo was taken; nothing else of the
photo's metadata is kept, above all no place. A photo that cannot be used gets a row that says why.
Folders are searched deeply; hidden files, what other systems keep beside photos (._x, @eaDir,
Thumbs.db), and results of earlier runs are left out, which a line tells. Photos in an uncompressed
.tar or a .zip are read from there, by names such as photos.zip/cells/1.png.

Before the search one line tells where photos and settings disagree: enlarged before, a JPEG in a
PNG, aliasing, more noise than --noise, clipped, a better factor. Up to 64 photos are looked at;
inspect.py looks at all of them and proposes settings.

The exit status is 0 when every photo has its result, 3 when some have none (results.csv says why),
2 when nothing could start: a mistake in the flags, or no photo that can be used.

A low-resolution photo must be a square with the prior's resolution over a whole number on a side.
What is over that is cropped away around the centre (--fit=crop), or what is missing is filled up
(--fit=pad); a sharp photo is scaled down. The table says what was done.

What the search found is then moved to explain the photo, as far as the photo's noise lets it be
trusted (--consistency). PSNR and SSIM are of the 8-bit RGB image written, all of it, against the
reference at the prior's resolution. The residual is the mean squared difference between the
low-resolution photo and the image written, brought to its size; residual_before that of what the
search found; noise the standard deviation that the photo shows, or --noise. A result is feasible
where the residual is at most eps (--eps): by default each photo's own, of which eps_terms tells how
much is for noise, rounding, JPEG and the kernel, which is only assumed. Whiteness is that of what
the search left, 1 for noise; the column remark says where it left more than noise, or less. Seconds
are a batch's wall time (the first includes compiling) over its photos.

--interval=0.9 --calibration=FILE (calibrate.py writes it) adds NAME_lower.png and NAME_upper.png,
between which the truth lies as often as the line that is printed says; NAME_width.png, how far they
are apart; and intervals.csv: mean widths, which share of the picture's contrast the photo fixes, a
lower bound on PSNR, and the types that the truth may be of. A file of other settings is refused.

A published network that has no use for a prior (ports/convert.py writes it) enlarges photos of any
size, whole, and is not moved to explain them; GFPGAN and GPEN, which hold a generator of their own,
restore centre squares at its size:

    python experiments/super_resolve.py --method=rrdb --model=esrgan --input=photos
    python experiments/super_resolve.py --method=gfpgan --model=gfpgan --input=faces

Faces in photos of any size, for a prior of faces as FFHQ crops them: each is found (or given with
--landmarks), restored without resampling the photo (NAME_00.png), and drawn into the photo enlarged
(NAME.png); NAME_faces.png shows where:

    python experiments/super_resolve.py --prior=ffhq --input=photos --align=ffhq

Many hosts share the photos with --part: each takes every COUNTth, writes into a folder of its own
in OUT (part-03-of-64/), and never waits for another once it knows its number. So a lost host costs
the photos that it had not finished, and the same command on any host makes them up:

    # the fourth of 64 hosts
    python experiments/super_resolve.py --input=photos --part=3/64 --out=restored
    # hosts that jax.distributed finds
    srun -n 64 python experiments/super_resolve.py --input=photos --part=auto

On one host all devices share each batch; how many cores a CPU has, up to 8, changes no more of a
result than a float's last bit. Nothing of this was measured on accelerators.
"""

import dataclasses

from restoration import faced, hosts, intervals, levels, look, pictures, tolerances, whole, work
from restoration.options import Settings, out_folder
from restoration.plan import Plan, find_sources, prepare
from restoration.records import announce, start_run, summarise

from jaxsr import flags
from jaxsr.methods import METHODS, trusted
from jaxsr.operators import OPERATORS
from jaxsr.records.files import only_here


def main(settings: Settings) -> int:
    part = hosts.part(settings.part)
    sources = find_sources(settings)
    if part is not None:
        settings = dataclasses.replace(settings, out=str(out_folder(settings) / part.name))
        sources = sources[part.index :: part.count]
        if not sources:
            print(f"{part.name}: nothing to do, there are fewer photos than parts")
            return 0
    if whole.serves(settings):
        lost = whole.execute(settings, sources)
    elif faced.serves(settings):
        lost = faced.execute(settings, sources)
    else:
        with whole.explained(settings), look.explained(sources, settings):
            plan = prepare(settings, sources)
        lost = execute(plan, intervals.prepare(plan))
    return flags.SOME_FAILED if lost else 0


def execute(plan: Plan, wanted: intervals.Wanted | None = None) -> int:
    """Restores what the folder lacks; writes the table and the pictures of all. Returns how many
    have no result."""
    settings = plan.settings
    with only_here(out_folder(settings)):
        run = start_run(plan)
        if settings.overwrite:
            intervals.remove(run.folder, kept=[job.photo.file for job in plan.jobs])
        refused = [row for row in plan.unusable if not run.is_there(row["output"])]
        run.add(refused)
        missing = [job for job in plan.jobs if not run.is_done(job.output, job.photo.digest)]
        announce(plan, len(plan.jobs) - len(missing))
        if warning := look.warning(plan, missing):
            print(warning)
        for factor, method in plan.methods.items():
            group = [job for job in missing if job.photo.factor == factor]
            for same, at in levels.at_levels(group, method, settings):
                work.restore_jobs(run, same, at, settings)
        run.put_in_order()
        print(summarise(run, plan, refused))
        if wanted:
            print(intervals.write_all(run, plan, wanted))
        print(pictures.draw_grid(run, plan.jobs, plan.fitter, settings.num_solutions))
        if settings.trajectory and plan.jobs:
            first = plan.jobs[0]
            whole_method = plan.methods[first.photo.factor]
            _, method = next(levels.at_levels([first], whole_method, settings))
            drawn = pictures.draw_trajectory(
                run,
                first,
                method.solve,
                method.params | tolerances.told_alone(first, settings, method),
                noise=trusted(settings.consistency, work.noise_of(first, settings)),
                seed=settings.seed,
                progress=settings.progress,
            )
            print(drawn)
        rows = [run.rows[job.output] for job in plan.jobs]
        return len(refused) + sum(row["status"] == "error" for row in rows)


if __name__ == "__main__":
    tables = {"methods": METHODS, "operators": OPERATORS}
    told = {
        name: {key: row.summary for key, row in table.items()} for name, table in tables.items()
    }
    read_settings = flags.define(Settings(), tables=told)
    flags.short({"i": "input", "o": "out"})
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
