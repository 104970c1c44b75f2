"""Values of every data type that survive any encoding, the borders of their ranges among them. No package needed."""

SHAPE = [2, 2]

VALUES = {
    "BOOL": [True, False, False, True],
    "UINT8": [0, 1, 127, 255],
    "UINT16": [0, 1, 32768, 65535],
    "UINT32": [0, 1, 2**31, 2**32 - 1],
    "UINT64": [0, 1, 2**63, 2**64 - 1],
    "INT8": [-128, -1, 0, 127],
    "INT16": [-(2**15), -1, 0, 2**15 - 1],
    "INT32": [-(2**31), -1, 0, 2**31 - 1],
    "INT64": [-(2**63), -1, 0, 2**63 - 1],
    "FP16": [-65504.0, -0.5, 0.0, 1.5],
    "FP32": [-3.4028234663852886e38, -0.1875, 0.0, 1.401298464324817e-45],
    "FP64": [-1.7976931348623157e308, 0.1, 0.0, 5e-324],
    "BF16": [-256.0, -0.5, 0.0, 1.5],
}

# As texts, and as bytes that are no text.
TEXTS = ["", "plain", "Grüße, 世界 🌍", 'quote " and \\ and\nline']
BLOBS = [b"", b"\x00", b"\xff\xfe\x00\x80", b"plain"]

# One 224 by 224 image in three colours.
IMAGE_FLOATS = 150_528


def identity(datatype):
    """The model that answers its input of this type unchanged."""
    return "identity_" + datatype.lower()
