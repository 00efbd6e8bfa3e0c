"""The numbers that the papers print, as printed: heading, columns, rows. They were measured on
other data and weights than ours."""

from typing import NamedTuple


class Table(NamedTuple):
    """A printed table. Rows are strings as printed, "-" where the paper has no number."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _table(heading: str, columns: str, rows: str) -> Table:
    """Columns separated by |; a row a line, its label up to the colon, its numbers by spaces; "-"
    where nothing is printed."""
    lines = [line.strip() for line in rows.strip().splitlines()]
    split = tuple(
        (label.strip(), *numbers.split())
        for label, _, numbers in (line.partition(":") for line in lines)
    )
    names = tuple(columns.split("|"))
    wrong = [row for row in split if len(row) != len(names) + 1]
    if wrong:
        raise ValueError(f"{heading}: expected {len(names)} numbers a row, got {wrong}")
    return Table(heading, names, split)


_RLS = "FID|KID x 1000|NIQE|ID|LPIPS|PSNR|MS-SSIM"
RLS1_64 = _table(
    "RLS Table 1 at 64x (CelebA-HQ, 1024 px)",
    _RLS,
    """
    PULSE: 42.9331 30.2643 5.0957 .6709 .5197 19.5775 .5430
    BRGM: 58.3559 47.5288 4.3817 .6426 .5412 18.8989 .5300
    GPEN: 474.275 693.3078 14.6695 .6623 .6704 20.2558 .6014
    GFPGAN: 197.3977 181.3333 12.9577 .7151 .6431 19.6302 .6047
    DDRM: 391.2105 538.9393 8.0546 .6938 .6924 18.6866 .5296
    RLS: 47.8888 30.8534 4.1032 .7210 .5037 17.9680 .5183
    RLS+: 36.3110 20.9327 4.1348 .7335 .4749 19.7064 .5671
    """,
)
RLS1_8 = _table(
    "RLS Table 1 at 8x (CelebA-HQ, 1024 px)",
    _RLS,
    """
    bicubic: 86.9839 104.7387 9.9253 .8100 .5346 28.0067 .8568
    PULSE: 34.5038 21.6472 5.9383 .7511 .4618 23.4985 .7090
    BRGM: 38.0316 27.2339 7.6593 .7634 .4998 21.9977 .6817
    GPEN: 27.9026 19.4761 4.9814 .8746 .3217 26.3693 .8472
    GFPGAN: 28.2971 18.5216 6.0168 .8775 .3323 27.1016 .8512
    DDRM: 30.1999 25.1746 7.1486 .8358 .5386 23.4707 .8566
    RLS: 45.8778 29.6858 4.2293 .7539 .4738 18.4833 .5677
    RLS+: 27.6691 13.0044 4.7241 .8152 .3925 24.2802 .7577
    """,
)
RLS2 = _table(
    "RLS Table 2 at 16x",
    _RLS,
    """
    w/o anchor: 32.4085 18.9718 4.4316 .7817 .4309 22.7645 .7009
    w/o noise: 31.1461 16.7528 4.3895 .7887 .4132 22.6009 .6934
    w/o w: 36.0475 20.5331 4.2209 .7790 .4150 22.4965 .6932
    w/o g: 30.2329 15.5456 4.2967 .7896 .4121 22.4442 .6867
    w/o l1 ball: 26.8366 13.1830 4.4294 .8040 .3998 23.7940 .7288
    RLS+: 28.3786 13.7663 4.2878 .7981 .3972 23.5242 .7195
    """,
)
RLS3 = _table(
    "RLS Table 3 at 16x (FID of RLS+ is 28.38 in Table 2: one is a typo)",
    "FID|KID x 1000|LPIPS|PSNR",
    """
    GPEN: 36.0024 29.5146 .3945 25.0845
    GFPGAN: 29.7925 18.3028 .4221 24.2659
    RLS+: 26.3786 13.7664 .3972 23.5242
    """,
)
RLS4 = _table(
    "RLS Table 4, RLS+ at 16x, 1000 images",
    "NIQE|ID|LPIPS|MS-SSIM",
    """
    clean: 4.2975 .7976 .4004 .7223
    Gaussian noise: 4.0545 .7056 .4390 .6675
    salt & pepper: 4.2427 .8045 .4036 .7215
    Gaussian blur: 4.4677 .7901 .4414 .6819
    motion blur: 4.3160 .8077 .4237 .6821
    """,
)
RLS5 = _table(
    "RLS Table 5 at 64x (RLS has MS-SSIM .5183 in Table 1, here the value of w/o W+)",
    "NIQE|ID|LPIPS|MS-SSIM",
    """
    w/o Regu: 4.2970 .7003 .5336 .5508
    w/o P_cross: 4.1946 .7078 .4977 .5488
    w/o W+: 3.7184 .7086 .5106 .5183
    RLS: 4.1032 .7210 .5037 .5214
    """,
)
RLSE1 = _table(
    "RLSE Table 1 (CelebA, 128 px; NIQE on TinyFace)",
    "bilinear|mGANprior|PULSE|RLSE|VDSR|ESRGAN|FSRNet",
    """
    8x PSNR: 25.84 21.29 22.54 23.52 23.18 23.74 25.08
    8x SSIM: .73 .53 .54 .56 .76 .63 .56
    8x LPIPS: .57 .32 .28 .25 .28 .30 .23
    8x NIQE: 15.01 13.28 9.81 8.94 15.12 16.84 16.53
    16x PSNR: 22.73 20.53 21.43 21.74 22.42 21.83 23.04
    16x SSIM: .56 .50 .48 .49 .59 .46 .62
    16x LPIPS: .65 .36 .30 .27 .33 .31 .28
    16x NIQE: 18.44 14.55 11.98 10.55 16.95 15.64 15.90
    """,
)
RLSE2 = _table(
    "RLSE Table 2 (CelebA-HQ), without and with L_s",
    "PSNR without|PSNR with|SSIM without|SSIM with|LPIPS without|LPIPS with",
    """
    16x: 22.66 23.04 .54 .55 .24 .20
    32x: 19.93 20.78 .42 .44 .27 .24
    64x: 18.93 19.15 .33 .34 .30 .29
    """,
)
EGLASS1 = _table(
    "e-GLASS Table 1: seconds to ten solutions",
    "PULSE|e-GLASS",
    """
    super-resolution, BigGAN: 3.5e4 3.7e3
    inpainting, PGGAN: 7.9e3 1.3e3
    """,
)
LAREN1 = _table(
    "LAREN Table I",
    "mGANprior PSNR|mGANprior LPIPS|ESRGAN PSNR|ESRGAN LPIPS|GLEAN PSNR|GLEAN LPIPS"
    "|LAREN PSNR|LAREN LPIPS",
    """
    Face 16x: 23.50 .4787 26.04 .2993 26.71 .2735 26.95 .2631
    Face 32x: 19.45 .5192 N/A N/A 22.83 .3397 23.11 .3288
    Face 64x: 17.32 .5633 N/A N/A 20.96 .3958 21.28 .3837
    Cat 16x: 16.93 .5621 18.89 .3692 20.03 .3426 20.15 .3379
    Church 16x: 14.78 .5569 16.56 .3671 17.32 .3485 17.58 .3283
    Car 16x: 14.40 .7388 19.01 .3180 19.61 .2853 19.88 .2729
    Bedroom 16x: 16.19 .5597 19.18 .3507 19.32 .3415 19.45 .3304
    Tower 16x: 15.83 .4982 17.61 .3240 18.33 .2973 18.49 .2883
    """,
)
LAREN2 = _table(
    "LAREN Table II, DCI",
    "disentanglement|completeness|informativeness",
    """
    W: .47 .51 .94
    W+: .56 .63 .96
    S: .68 .76 .99
    G: .82 .88 .99
    """,
)
LAREN3 = _table(
    "LAREN Table III at 64x",
    "parameters|PSNR|LPIPS",
    """
    base: 67.1M 20.69 .6756
    + GDM: .42M 21.06 .4668
    + CGM: 11M 21.28 .3837
    """,
)
LAREN4 = _table(
    "LAREN Table IV at 64x",
    "PSNR|LPIPS",
    """
    Base: 20.69 .6756
    Base+W+: 20.78 .6369
    Base+S: 20.85 .6052
    GDM-VRR: 20.80 .6311
    GDM-HMRR: 21.06 .4668
    + CGM-VRR: 21.11 .4572
    + CGM-ReRR: 21.28 .3837
    """,
)
