"""Options of a 3D classification."""

from dataclasses import dataclass

from emjax.errors import OptionError
from emjax.imaging.symmetry import parse_point_group

INITIAL = ("simple", "pca", "variability", "components", "input")


@dataclass(frozen=True)
class Em3dOptions:
    """Options of a classification; lengths in Å.

    Raises:
        OptionError: where an option is out of its range or contradicts another.
    """

    initial: str = "simple"  # simple · pca · variability · components · input
    initial_lowpass: float = 20.0
    start_resolution: float | str | None = "auto"
    particles_per_reconstruction: int = 1000
    pca_reconstructions: int = 100
    pca_components: int = 2
    pca_assignment: str = "hard"  # hard · soft
    online_epochs: int = 2
    online_batch_per_class: int = 1000
    learning_rate: float = 0.4
    learning_rate_halflife: float = 0.5  # of the online iterations
    full_iterations: int = 25
    switch_convergence: float = 0.02
    rms_convergence: float = 0.01
    class_similarity: float = 0.5
    anneal_until: int = 10
    fsc_filter: bool = True
    last_iterations: int = 2
    hard: bool = False
    symmetry: str = "C1"
    highpass_resolution: float | None = None  # Å; takes effect as argument of `make_engine`
    particle_limit: int | None = None  # so does this
    reorder_by_size: bool = False
    write_each_iteration: bool = False  # what `on_iteration` of `classify` may do
    dead_class: str = "warn"  # warn · reseed

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        choices = {
            "initial": INITIAL,
            "pca_assignment": ("hard", "soft"),
            "dead_class": ("warn", "reseed"),
        }
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise OptionError(name, repr(value), f"one of {', '.join(allowed)}")
        parse_point_group(self.symmetry)
        start = self.start_resolution
        if start not in (None, "auto") and (isinstance(start, str) or not start > 0):
            raise OptionError("start_resolution", repr(start), "auto, null or Å")
        if self.reorder_by_size and self.write_each_iteration:
            raise OptionError(
                "reorder_by_size",
                "on together with write_each_iteration",
                "one of them: the classes of an iteration have no order by size yet",
            )

    def similarity(self, iteration: int) -> float:
        """β of an iteration (from 1): falls linearly to 0 at `anneal_until`."""
        if self.anneal_until <= 0:
            return 0.0
        return self.class_similarity * max(0.0, 1 - (iteration - 1) / self.anneal_until)

    def rate(self, iteration: int, n_iterations: int) -> float:
        """Learning rate of an online iteration (from 1): halves every half-life."""
        halflife = max(self.learning_rate_halflife * n_iterations, 1e-9)
        return self.learning_rate * 0.5 ** ((iteration - 1) / halflife)
