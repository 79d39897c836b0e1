"""The product list: names, quantities, prices and drawings are consistent."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from tools.drawn_products.motifs import MOTIFS
from tools.drawn_products.packs import PACKS
from tools.drawn_products.produce import PRODUCE
from tools.drawn_products.products import PRODUCTS, euros
from tools.drawn_products.scene import product_picture
from tools.drawn_products.vessels import SHAPES


def test_every_product_shape_can_be_drawn() -> None:
    for product in PRODUCTS:
        assert product.look.shape in {*PACKS, *PRODUCE, *SHAPES}, product.name
        assert product.look.motif in {*MOTIFS, ""}, product.name


def test_every_product_has_words_for_prompts_and_a_name_of_its_own() -> None:
    assert len({product.name for product in PRODUCTS}) == len(PRODUCTS)
    assert all(product.words and all(word.strip() == word != "" for word in product.words) for product in PRODUCTS)


def test_quantity_and_unit_price_agree_with_the_price_tag() -> None:
    products = {product.name: product for product in PRODUCTS}
    assert (products["Chopped Tomatoes"].quantity, products["Mineral Water"].quantity) == ("400 g", "1.5 l")
    assert products["Pineapple"].quantity == "each"
    assert products["Strawberry Jam"].unit_price_eur == Decimal("5.76")  # 2.59 / 0.450 kg = 5.7555...
    assert products["Mineral Water"].unit_price_text == "1 l = 0,46 €"
    assert euros(Decimal("0.9")) == "0,90 €"


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_a_product_fits_its_box_and_is_neither_empty_nor_one_colour(product: object) -> None:
    picture = product_picture(product, 150, 180, np.random.default_rng(1))  # type: ignore[arg-type]
    # Rounding and soft edges may cost a few pixels.
    assert picture.width <= 156 and picture.height <= 186
    pixels = np.asarray(picture.convert("RGBA")).astype(int)
    solid = pixels[pixels[..., 3] > 200]
    assert len(solid) > 0.12 * 150 * 180
    assert solid[:, :3].std(axis=0).max() > 15
