"""What may be believed of several solutions of a photo: intervals, sets of types and a bound on
PSNR that hold with a stated probability, by split conformal prediction on held-out real photos.

    found = spread(solutions, feasible)  # of each photo: centre and deviation
    score(truth, found, floor, share)  # of each calibration photo
    threshold(scores, level)  # the factor that new photos' deviations are multiplied by
    interval(found, floor, factor)  # of a new photo: lower and upper picture

The unit is the photo: its pixels are not independent, and never counted as samples. Everything here
is NumPy and SciPy, of single photos [h, w, 3] in [0, 1].
"""

from jaxsr.calibration.bounds import psnr as psnr
from jaxsr.calibration.bounds import psnr_bound as psnr_bound
from jaxsr.calibration.bounds import psnr_score as psnr_score
from jaxsr.calibration.conformal import LEAST_GROUP as LEAST_GROUP
from jaxsr.calibration.conformal import binomial_range as binomial_range
from jaxsr.calibration.conformal import coverage_range as coverage_range
from jaxsr.calibration.conformal import least_photos as least_photos
from jaxsr.calibration.conformal import threshold as threshold
from jaxsr.calibration.conformal import thresholds as thresholds
from jaxsr.calibration.intervals import Interval as Interval
from jaxsr.calibration.intervals import Spread as Spread
from jaxsr.calibration.intervals import choose_floor as choose_floor
from jaxsr.calibration.intervals import covered_share as covered_share
from jaxsr.calibration.intervals import interval as interval
from jaxsr.calibration.intervals import score as score
from jaxsr.calibration.intervals import spread as spread
from jaxsr.calibration.record import Calibration as Calibration
from jaxsr.calibration.record import read as read
from jaxsr.calibration.record import write as write
from jaxsr.calibration.shares import Shares as Shares
from jaxsr.calibration.shares import shares as shares
from jaxsr.calibration.type_sets import type_score as type_score
from jaxsr.calibration.type_sets import type_set as type_set
