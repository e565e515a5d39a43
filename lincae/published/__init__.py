"""The weight formats of the authors' packages: Lin-CAE's folders and Music2Latent's file, read and written."""

from lincae.published.reading import PublishedModel, find_weights, read_published
from lincae.published.releases import RELEASES, Release
from lincae.published.writing import write_published

__all__ = ["RELEASES", "PublishedModel", "Release", "find_weights", "read_published", "write_published"]
