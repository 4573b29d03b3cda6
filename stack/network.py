"""The network on which the services reach each other by name."""

import pulumi
import pulumi_docker as docker

from stack.naming import Naming


def app_network(naming: Naming) -> docker.Network:
    """The stack's bridge network."""
    labels = [docker.NetworkLabelArgs(label=label, value=value) for label, value in naming.network_labels().items()]
    return docker.Network(
        "app-network", name=naming.network(), driver="bridge", labels=labels, opts=pulumi.ResourceOptions(delete_before_replace=True)
    )
