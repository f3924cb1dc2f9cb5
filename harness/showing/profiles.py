"""How much work a profile of a suite does, in words."""

from __future__ import annotations

from harness.model.architecture import Network, backbone_of
from harness.model.variants import Search
from harness.protocol import Profile, Suite


def most_epochs(suite: Suite, profile: Profile) -> str:
    """How many epochs it allows what the suite has."""
    told, architectures = [f"at most {profile.epochs} epochs"], [variant.architecture for variant in suite.VARIANTS]
    if any(isinstance(one, Search) and one.of_networks for one in architectures):
        told.append(f"{profile.search_epochs} per trial of a search")
    if any(isinstance(one, Network) and backbone_of(one) for one in architectures):
        told.append(f"{profile.fine_tuning_epochs} of fine-tuning")
    return ", ".join(told)
