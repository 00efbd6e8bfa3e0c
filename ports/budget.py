"""What reading one file may cost, and how a file ends that is refused."""

MAX_STEPS = 1_000_000  # opcodes of one file; the largest official checkpoints take some 100,000


class Unreadable(ValueError):
    """A file that is refused or damaged; the message says what was expected and what came."""


class Budget:
    """What reading one file may cost, shared by the pickles nested in it.

    Attributes:
        steps: opcodes left.
        array_bytes: bytes left for arrays: names that share one array cannot make more of it than a
            small multiple of the file.
    """

    def __init__(self, file_bytes: int):
        self.steps = MAX_STEPS
        self.array_bytes = 2 * file_bytes + (1 << 20)

    def take_steps(self, count: int = 1) -> None:
        """Pays for `count` opcodes, or for as many items that one opcode copies."""
        self.steps -= count
        if self.steps < 0:
            raise Unreadable(f"expected a pickle of at most {MAX_STEPS} steps, got a longer one")

    def take_array(self, size: int) -> None:
        """Pays for an array of `size` bytes."""
        self.array_bytes -= size
        if self.array_bytes < 0:
            raise Unreadable(
                "expected arrays that share little, got more than twice the file's size in arrays"
            )
