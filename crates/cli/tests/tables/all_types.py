"""Writes all_types.parquet: a column of every type that pyarrow can write, in three row groups. Needs pyarrow 26.

pyarrow can write no intervals, no run-end-encoded columns and no decimals of negative scale to Parquet.
"""

import decimal
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

D = decimal.Decimal
UNITS = ["s", "ms", "us", "ns"]


class Point(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.list_(pa.float32()), "example.point")

    def __arrow_ext_serialize__(self):
        return b"{}"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


def scalars():
    for width in [8, 16, 32, 64]:
        yield pa.array([-(2 ** (width - 1)), None, 2 ** (width - 1) - 1, 1], getattr(pa, f"int{width}")())
        yield pa.array([0, None, 2**width - 1, 1], getattr(pa, f"uint{width}")())
    for t in [np.float16, np.float32, np.float64]:
        yield pa.array([t(-0.0), None, t("nan"), t("inf")], pa.from_numpy_dtype(t))
    yield pa.array([True, None, False, True])
    for t in [pa.decimal32(9, 2), pa.decimal64(18, 4), pa.decimal128(38, 10), pa.decimal256(76, 20)]:
        yield pa.array([D("1.23"), None, D("-4.5"), D(0)], t)
    yield pa.array([-719162, None, 2932896, 0], pa.date32())
    yield pa.array([-86400000, None, 253402214400000, 0], pa.date64())
    for t in [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]:
        yield pa.array([0, None, 86399, 1], t)
    for unit in UNITS:
        for zone in [None, "UTC", "Europe/Berlin", "+05:30"]:
            yield pa.array([-1, None, 9223372036, 0], pa.timestamp(unit, zone))
        yield pa.array([-1, None, 2**40, 0], pa.duration(unit))
    for t in [pa.string(), pa.large_string(), pa.string_view()]:
        yield pa.array(["a", None, "", "é"], t)
    for t in [pa.binary(), pa.large_binary(), pa.binary_view()]:
        yield pa.array([b"a\xff", None, b"", b"\0"], t)
    yield pa.array([b"ab", None, b"\0\xff", b"xy"], pa.binary(2))
    yield pa.nulls(4)


def nested():
    for t in [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]:
        yield pa.array([["a", None], None, [], ["b"]], t(pa.string()))
    yield pa.array([[1, None], None, [3, 4], [5, 6]], pa.list_(pa.int16(), 2))
    inner = pa.list_(pa.struct([pa.field("z", pa.large_string())]))
    rows = [{"x": 1, "y": [{"z": "q"}, None]}, None, {"x": None, "y": []}, {"x": 2, "y": None}]
    yield pa.array(rows, pa.struct([pa.field("x", pa.int32()), pa.field("y", inner)]))
    yield pa.array([[("a", 1)], None, [], [("b", None), ("c", 2)]], pa.map_(pa.string(), pa.int32()))
    sorted_map = pa.map_(pa.string(), pa.list_(pa.int8()), keys_sorted=True)
    yield pa.array([[("a", [1])], None, [], [("b", None)]], sorted_map)
    words = dictionary(pa.array(["p", "q"]))
    yield pa.ListArray.from_arrays([0, 1, 1, 3, 4], words)
    yield pa.StructArray.from_arrays([words], ["d"])


def dictionary(values, index=pa.int8(), ordered=False):
    return pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 0], index), values, ordered=ordered)


def dictionaries():
    for width in [8, 16, 32, 64]:
        yield dictionary(pa.array(["p", "q"]), getattr(pa, f"int{width}")(), ordered=width == 16)
        yield dictionary(pa.array(["p", "q"]), getattr(pa, f"uint{width}")())
    yield dictionary(pa.array([True, False]))
    yield dictionary(pa.array([D("1.5"), D("2.5")], pa.decimal128(5, 1)))
    yield dictionary(pa.array([b"x", b"y"]))
    yield dictionary(pa.array([b"ab", b"cd"], pa.binary(2)))
    yield dictionary(pa.array(["p", "q"], pa.large_string()))
    for t in [pa.uint8(), pa.int64(), pa.float16(), pa.float64(), pa.date32(), pa.time32("s"), pa.timestamp("ns", "UTC"), pa.duration("s")]:
        yield dictionary(pa.array([1, 2], t))


def extensions():
    for t, values in [
        (pa.uuid(), [b"0123456789abcdef", None, b"\0" * 16, b"\xff" * 16]),
        (pa.json_(), ['{"a":1}', None, "[]", "1"]),
        (pa.opaque(pa.int32(), "name", "vendor"), [1, None, 2, 3]),
        (pa.bool8(), [1, None, 0, 5]),
        (pa.fixed_shape_tensor(pa.int32(), [2]), [[1, 2], None, [3, 4], [5, 6]]),
        (Point(), [[1.5], None, [], [2.5]]),
    ]:
        yield pa.ExtensionArray.from_storage(t, pa.array(values, t.storage_type))


def main():
    arrays = [*scalars(), *nested(), *dictionaries(), *extensions()]
    fields = [pa.field("text", pa.string(), metadata={"about": "texts"})]
    for number, array in enumerate(arrays):
        metadata = {"number": str(number)} if number % 5 == 0 else None
        fields.append(pa.field(f"{number} {array.type}", array.type, metadata=metadata))
    fields.append(pa.field("required", pa.int32(), nullable=False))
    texts, required = pa.array(["good", "bad", None, "wow"]), pa.array([1, 2, 3, 4], pa.int32())
    schema = pa.schema(fields, metadata={"pandas": "{}", "b": "1", "a": "2"})
    table = pa.Table.from_arrays([texts, *arrays, required], schema=schema)
    table = pa.concat_tables([table, table.slice(1, 2)])
    path = pathlib.Path(__file__).with_name("all_types.parquet")
    pq.write_table(table, path, row_group_size=2, compression="zstd", write_statistics=False)


main()
