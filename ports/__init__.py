"""Official checkpoints of other projects -> weights folders of jaxsr, read without torch,
TensorFlow or executing anything in a file. Metric networks: see `jaxsr.metrics`.

A reader of its own makes inert data of what a file holds, and refuses what calls a function or
names one of Python's own (`ports.foreign`); safetensors are read by their authors' package. What
people wrap around a network goes first: `ports.wrappers` has the table. Largest differences of what
a converted network computes, images in [-1, 1], from the original code or float64 NumPy written
from the paper:

| format | compared with | largest difference (images in [-1, 1]) |
|---|---|---|
| StyleGAN2-ADA-PyTorch, StyleGAN3's | official network | w 3e-6, images 1.3e-5, logits 4e-7 |
| StyleGAN3 PyTorch, T and R, 32 to 256 px | official network | w 6e-7, images 1.2e-6, logits 9e-7 |
| StyleGAN2(-ADA) TensorFlow; rosinality | official network, same weights | the same |
| of them: --cfg=cifar's discriminator; grey and RGBA pictures | float64 NumPy | below 1e-4 |
| StyleGAN1 TensorFlow | float64 NumPy | w 2e-6, images 2e-5, logits 9e-7 |
| StyleGAN1 PyTorch `.pt`, as PULSE's | PULSE's code; float64 NumPy | w 8e-6, images 2e-5; 5e-5 |
| PGGAN TensorFlow | float64 NumPy | images 1e-6, logits 2e-7 |
| PGGAN of genforce, ptrblck, GAN_zoo | their code | images 2e-6, 8e-6, 1.4e-5 |
| BigGAN-PyTorch, 32 to 512 px | its code | images 1.2e-5, logits 2e-5 (of 70) |
| pytorch-pretrained-BigGAN `.bin` (BigGAN-deep 128, 256, 512) | its code | images 7e-7 |
| DDPM (pesser's code) | its code | 3.4e-6 of noise of unit variance |
| ADM, both orders of attention, one class of several | guided-diffusion | 7.3e-6 of the same |
| GFPGAN 1.2 to 1.4; version 1 | official network | images 8e-7; 2.4e-5 (of 9) |
| GPEN | float64 NumPy | images 5e-6 (of 6) |
| RRDBNet in three ways of naming, SRVGGNetCompact | their code | images 1.4e-7 |
| VDSR `.pth` of pytorch-vdsr | its code | luma 2.9e-7 |
| VDSR `.mat` of MatConvNet | float64 NumPy | images below 1e-4 |
| NIQE `.npz` (BasicSR), `.mat` (MATLAB release) | BasicSR's own | exact |

Every comparison is of small networks with random weights, no parameter at its default, in every way
of writing a file (torch zip, torch legacy, pickle protocols 2 to 5, safetensors); no genuine
checkpoint was at hand but those of VDSR. A StyleGAN2 of 1024 px (381 MB with G, D and G_ema) takes
8 to 14 seconds and 2.3 times the file in memory. `config.json` records source, SHA-256, format,
date and licence, and under "notes" what a file lacks and what was left out.
"""
