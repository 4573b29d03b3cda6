"""The named volumes that hold all data."""

import pulumi
import pulumi_docker as docker

from stack.naming import Naming
from stack.vocabulary import VolumeName


def data_volumes(naming: Naming, protect: bool) -> dict[VolumeName, docker.Volume]:
    """The six volumes. `destroy` leaves them, and the next `up` adopts what it finds under their names, with its data.

    Args:
        naming: of the stack.
        protect: refuse any plan that would delete one.
    """
    return {name: _volume(naming, name, protect) for name in VolumeName}


def _volume(naming: Naming, name: VolumeName, protect: bool) -> docker.Volume:
    labels = [docker.VolumeLabelArgs(label=label, value=value) for label, value in naming.volume_labels(name).items()]
    # None of them can change: without ignore_changes the labels or the driver options of an adopted volume would replace it at every `up`,
    # and all containers that use it; or delete it, with its data.
    options = pulumi.ResourceOptions(retain_on_delete=True, protect=protect, ignore_changes=["labels", "driver", "driver_opts"])
    return docker.Volume(name, name=naming.volume(name), labels=labels, opts=options)
