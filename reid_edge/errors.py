"""Every error that reid_edge raises on purpose, in one tree.

Each message says what was wrong and what to do about it.  Input errors are also
`ValueError`s (or `ImportError`s, where a package is missing), so that code which does
not know this tree still catches them the usual way.
"""

from __future__ import annotations


class ReidEdgeError(Exception):
    """Base class: `except ReidEdgeError` catches all that this package raises on purpose."""


# --- what the caller passed in -------------------------------------------------------------


class InputError(ReidEdgeError, ValueError):
    """Pictures or embeddings that cannot be scored."""


class EmptyInputError(InputError):
    """No picture at all: an empty list or an array of length 0."""


class LengthMismatchError(InputError):
    """Two lists that are compared item by item differ in length."""


class ImageShapeError(InputError):
    """A picture that is not H x W x 3: greyscale, four channels, or not an array."""


class ImageSizeError(InputError):
    """A picture that is too small to show anyone: a side under 2 pixels."""


class ImageTooLargeError(ImageSizeError):
    """A picture over the limit of 50 megapixels."""


class ImageDtypeError(InputError):
    """A picture whose dtype is neither uint8 nor a float type."""


class ImageValueError(InputError):
    """Pixel values that are NaN, infinite, or outside 0...255, or a 0...1 picture."""


class BoxError(InputError):
    """Boxes that are no boxes, or hold nothing of their frame.

    Attributes:
        indices: the rows that hold nothing, ascending; empty where the array as a whole is wrong.
    """

    def __init__(self, message: str, indices: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.indices = indices


class ImageFileError(InputError):
    """A file that is missing, no picture, or damaged."""


class ImageBudgetError(ImageFileError):
    """A picture file that announces more than may be decoded; it was not decoded."""


class BoxFileError(InputError):
    """A file of boxes that is missing, empty, or holds something that is no box."""


class VideoError(InputError):
    """A video that cannot be read, or that ends early; an output of `video` that cannot be kept."""


class EmbeddingError(InputError):
    """Embeddings of the wrong shape, dtype or length for this model."""


# --- what the caller asked for ---------------------------------------------------------------


class OptionError(ReidEdgeError, ValueError):
    """An option with a value that does not exist or cannot be had here."""


class UnknownModelError(OptionError):
    """Neither a shipped model nor a bundle folder."""


class UnsuitableModelError(OptionError):
    """A model that cannot do this, such as one whose scores cannot be calibrated."""


class UnknownBackendError(OptionError):
    """Not the name of a backend."""


class UnknownPrecisionError(OptionError):
    """Not the name of a precision."""


class PrecisionUnavailableError(OptionError):
    """A known precision that this model, backend or processor does not offer."""


class UnknownDeviceError(OptionError):
    """A device that the backend does not know, or that this machine lacks."""


# --- model bundles -----------------------------------------------------------------------------


class BundleError(ReidEdgeError):
    """A model bundle that must not be used."""


class BundleSchemaError(BundleError):
    """bundle.json is missing, is no JSON, is of another version, or breaks the schema."""


class BundleIntegrityError(BundleError):
    """A file of the bundle is missing or differs from its recorded SHA-256."""


class BundleGraphError(BundleError):
    """An ONNX graph whose inputs, outputs or contents are not what the bundle promises."""


# --- backends ----------------------------------------------------------------------------------


class BackendError(ReidEdgeError):
    """A backend that cannot be started or that failed while it ran."""


class MissingDependencyError(BackendError, ImportError):
    """An optional package is not installed; the message names the extra to install."""


class GpuMemoryError(BackendError):
    """The GPU has no room left for the engine or its buffers."""


class DriverError(BackendError):
    """No NVIDIA driver, or one that is too old for the installed TensorRT."""


class UnservedGpuError(BackendError):
    """A GPU on which the installed TensorRT runs no engine, whatever it was built for."""


class EngineBuildError(BackendError):
    """TensorRT refused a graph or could not build an engine from it."""


class EngineCacheError(BackendError):
    """A folder of engines that cannot be used, or that other users could have tampered with."""


class EnginePlanError(BackendError):
    """A built engine that TensorRT does not load, or that does not fit its bundle."""


class ClosedError(ReidEdgeError, RuntimeError):
    """A ReId or a Gallery that was used after close()."""


# --- galleries ----------------------------------------------------------------------------------


class GalleryError(ReidEdgeError):
    """A gallery that cannot do what was asked of it."""


class GalleryFileError(GalleryError):
    """A file that is no gallery, is of a newer version, damaged, removed or not to be opened."""


class GalleryWriteError(GalleryError):
    """The disk is full or cannot be written; nothing of the change was kept."""


class GalleryBusyError(GalleryError):
    """Another process kept the gallery locked for too long; nothing was changed."""


class GalleryModelError(GalleryError):
    """A gallery of another model, or a model that no gallery can be kept with.

    Attributes:
        shipped: the name of the model in the box whose gallery it is, if it is of one.
    """

    def __init__(self, message: str, shipped: str | None = None) -> None:
        super().__init__(message)
        self.shipped = shipped


class UnknownIdentityError(GalleryError, LookupError):
    """An identity that is not enrolled."""


class IdentityExistsError(GalleryError, ValueError):
    """A new name that another identity has already."""


class EmptyGalleryError(GalleryError, LookupError):
    """Nobody is enrolled, so there is no one to compare with."""


# --- datasets and conversion -------------------------------------------------------------------


class DatasetError(ReidEdgeError):
    """A dataset folder that is missing, empty, or laid out in another way."""


class LabelError(DatasetError):
    """A picture whose name does not say who it shows."""


class ReportError(ReidEdgeError):
    """A benchmark report that cannot be read, compared with or written."""


class ConversionError(ReidEdgeError):
    """A weight file that the export cannot turn into a bundle."""


class ArchitectureMismatchError(ConversionError):
    """The file holds another network; the message names the first layer that differs."""


class UnsafeModelFileError(ConversionError):
    """The file carries code (a Lambda layer, a pickle): refused unread."""
