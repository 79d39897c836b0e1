"""EAN-13 barcodes: check digits and bar patterns are correct."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tools.drawn_products.barcode import bar_modules, check_digit, draw_barcode, with_check_digit
from tools.drawn_products.products import PRODUCTS

# Widths of space, bar, space, bar in the A patterns (GS1 General Specifications); the code uses another notation.
_WIDTHS = ("3211", "2221", "2122", "1411", "1132", "1231", "1114", "1312", "1213", "3112")
_ODD_LEFT = ("111111", "110100", "110010", "110001", "101100", "100110", "100011", "101010", "101001", "100101")


def _runs(bits: str) -> str:
    edges = [0, *(i for i in range(1, len(bits)) if bits[i] != bits[i - 1]), len(bits)]
    return "".join(str(right - left) for left, right in pairwise(edges))


def read_modules(bits: str) -> str:
    """Decode 95 modules by the widths of their bars, as a scanner does."""
    assert len(bits) == 95 and bits[:3] == "101" and bits[45:50] == "01010" and bits[92:] == "101"
    digits, odd = "", ""
    for start in range(3, 45, 7):
        part = bits[start : start + 7]
        widths = _runs(part)
        is_unsupported = part.count("1") % 2 == 1
        odd += "1" if is_unsupported else "0"
        digits += str(_WIDTHS.index(widths if is_unsupported else widths[::-1]))
    for start in range(50, 92, 7):
        digits += str(_WIDTHS.index(_runs(bits[start : start + 7])))
    return f"{_ODD_LEFT.index(odd)}{digits}"


@pytest.mark.parametrize("ean", ["4006381333931", "5901234123457", "9780201379624", "0012345678905", "4000417025005"])
def test_check_digit_agrees_with_printed_eans(ean: str) -> None:
    assert check_digit(ean[:12]) == int(ean[12])


@pytest.mark.parametrize("wrong", ["", "12345678901", "1234567890123", "12345678901x", "١٢٣٤٥٦٧٨٩٠١٢"])
def test_anything_but_twelve_digits_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="12 digits"):
        check_digit(wrong)


def test_ean_with_wrong_check_digit_is_refused() -> None:
    with pytest.raises(ValueError, match="4006381333932"):
        bar_modules("4006381333932")


@pytest.mark.parametrize("first_digit", range(10))
def test_bars_read_back_as_the_number_for_every_first_digit(first_digit: int) -> None:
    ean = with_check_digit(f"{first_digit}98765432104"[:12])
    assert read_modules(bar_modules(ean)) == ean


@pytest.mark.parametrize("module_px", [1, 2, 3])
def test_the_drawn_picture_reads_back_and_keeps_its_quiet_zones(module_px: int) -> None:
    for product in PRODUCTS[:12]:
        picture = draw_barcode(product.ean, module_px, 60 * module_px)
        row = np.asarray(picture.convert("L"))[4, module_px // 2 :: module_px] < 128
        assert row.size == 113 and not row[:11].any() and not row[-7:].any()
        assert read_modules("".join("1" if dark else "0" for dark in row[11:106])) == product.ean


def test_every_product_has_a_unique_valid_in_store_ean() -> None:
    assert len({product.ean for product in PRODUCTS}) == len(PRODUCTS)
    for product in PRODUCTS:
        assert check_digit(product.ean[:12]) == int(product.ean[12]) and product.ean.startswith("20")
