"""Faces for tests: points of real and made ones, and the slow reference of FFHQ's release."""

import numpy as np
from skimage import data, transform

# What YuNet (2023mar, OpenCV 4.14) finds on scikit-image's picture of an astronaut.
ASTRONAUT = np.array(
    [[202.73, 102.53], [244.92, 105.28], [220.48, 126.97], [200.34, 139.05], [241.74, 141.0]]
)
# The mean of FFHQ's faces at 512 px (facexlib's template).
MEAN = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]]
)


def sixty_eight(five: np.ndarray) -> np.ndarray:
    """68 points whose eyes' centres, nose and mouth corners are those of the five."""
    points = np.random.default_rng(0).uniform(0, 100, (68, 2))
    ring = np.stack([np.cos(np.arange(6)), np.sin(np.arange(6))], 1)
    ring -= ring.mean(0)
    points[36:42], points[42:48] = five[0] + 3 * ring, five[1] + 3 * ring
    points[30], points[48], points[54] = five[2:]
    return points


def official_quad(points: np.ndarray) -> np.ndarray:
    """`recreate_aligned_images` of FFHQ's release on 68 points: the corners [4, 2], without the
    half pixel that Pillow wants."""
    eye_left, eye_right = np.mean(points[36:42], axis=0), np.mean(points[42:48], axis=0)
    eye_avg, eye_to_eye = (eye_left + eye_right) * 0.5, eye_right - eye_left
    mouth_avg = (points[48] + points[54]) * 0.5
    eye_to_mouth = mouth_avg - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


def moved(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """Points turned by an angle (radians, clockwise as seen), scaled about (0, 0), and moved."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


def astronaut() -> np.ndarray:
    return data.astronaut().astype(np.float32) / 255


# (angle in degrees, px between outer edges of FFHQ's square, its centre) in the group photo.
GROUP = ((0, 40, (42, 44)), (15, 28, (110, 40)), (-20, 52, (70, 100)))


def group(width: int = 150, height: int = 140) -> tuple[np.ndarray, list[np.ndarray]]:
    """A photo [h, w, 3] of three astronauts at other sizes and turns, made by area average, and the
    five points of each."""
    from jaxsr.faces import Face

    source, square = astronaut(), Face(ASTRONAUT).square
    photo, found = np.full((height, width, 3), 0.35, np.float32), []
    for degrees, side, centre in GROUP:
        scale, angle = side / square.side, np.radians(degrees)
        tilt = np.arctan2(square.across[1], square.across[0])
        shift = np.array(centre) - moved(square.centre[None], angle - tilt, scale, (0, 0))[0]
        points = moved(ASTRONAUT, angle - tilt, scale, tuple(shift))
        drawn, inside = _drawn(source, square, centre, angle - tilt, scale, photo.shape)
        photo = np.where(inside[..., None], drawn, photo)
        found.append(points)
    return photo.astype(np.float32), found


def _drawn(source, square, centre, angle, scale, shape):
    """The picture turned and made small, each pixel the mean of 64 points; and where its square,
    half as large again, lies."""
    fine = (np.arange(8) + 0.5) / 8 - 0.5
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    total = np.zeros(shape)
    for dy in fine:
        for dx in fine:
            x, y = np.meshgrid(columns + dx, rows + dy)
            there = np.stack([x, y], -1) - centre
            back = moved(there, -angle, 1 / scale, tuple(square.centre))
            total += np.stack(
                [
                    transform.warp(channel, back.transpose(2, 0, 1)[::-1], order=1, mode="edge")
                    for channel in source.transpose(2, 0, 1)
                ],
                -1,
            )
    x, y = np.meshgrid(columns, rows)
    inside = np.hypot(x - centre[0], y - centre[1]) < 0.62 * scale * square.side
    return total / 64, inside
