"""The place where programs look for DistributedSampler."""

from flambeau.utils.data.sampler import DistributedSampler

__all__ = ["DistributedSampler"]
