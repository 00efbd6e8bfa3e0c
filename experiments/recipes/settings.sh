# What the recipes of pbc64 share: sourced, not run.

# Detail is amplified for the discriminator, which else overlooks it. Photos and pictures are moved
# before it sees them; colours are left alone, because those of a stain tell much. Texture is to
# come from w, so the noise inputs are held at zero. Cells have no up and no left.
common=(--loss=relativistic --emphasis=4 --augment=blit --augment_p=0.2 --symmetry=dihedral
  --noise_bound=0 --mapping_layers=2 --style_mixing=0 --path_weight=0)
about=(--name=pbc64 "--domain=single white blood cells, stained, light microscope"
  "--licence=CC BY 4.0" "--credit=A. Acevedo et al., Data \
in Brief 30 (2020) 105474, Mendeley Data snkd93bnjr v1; cropped, averaged, re-encoded")
small=128,128,96,64 large=128,128,96,64,32  # channels at 4 to 32 and to 64 px
