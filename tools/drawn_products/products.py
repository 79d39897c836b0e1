"""What stands on the drawn shelf: names, brands, prices, EANs, looks. How a look is painted does not belong here.

Brands are invented. EANs begin with 20, the GS1 range for numbers used inside one shop, so none belongs to a
product that is really sold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from tools.drawn_products.barcode import with_check_digit

_UNITS = {"g": ("kg", 1000), "ml": ("l", 1000), "pc": ("pc", 1)}


@dataclass(frozen=True)
class Look:
    """How a product is painted: its shape, colours "#rrggbb", layout of the label and the motif on it."""

    shape: str
    ground: str = "#ffffff"
    accent: str = "#888888"
    ink: str = "#222222"
    motif: str = ""
    layout: str = "band"
    content: str = "#ffffff"  # what is seen through glass, or the cap


@dataclass(frozen=True)
class Product:
    """One sellable product. amount is in unit ("g", "ml" or "pc"); words serve as text prompts, the plainest first."""

    name: str
    kind: str
    brand: str
    amount: int
    unit: str
    price_eur: Decimal
    ean: str
    words: tuple[str, ...]
    look: Look = field(repr=False)

    @property
    def quantity(self) -> str:
        """The quantity as a label prints it: "500 g", "1.5 l", "6 pieces"."""
        if self.unit == "pc":
            return "each" if self.amount == 1 else f"{self.amount} pieces"
        large, per_large = _UNITS[self.unit]
        if self.amount >= per_large:
            return f"{self.amount / per_large:g} {large}"
        return f"{self.amount} {self.unit}"

    @property
    def unit_price_eur(self) -> Decimal:
        """Euros per kilogram, litre or piece, in whole cents."""
        exact = self.price_eur * _UNITS[self.unit][1] / self.amount
        return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)

    @property
    def unit_price_text(self) -> str:
        """The unit price as a shelf tag prints it: "1 kg = 3,98 €"."""
        return f"1 {_UNITS[self.unit][0]} = {euros(self.unit_price_eur)}"


def euros(price_eur: Decimal) -> str:
    """The price as shops of the euro area print it: "1,99 €"."""
    return f"{price_eur:.2f} €".replace(".", ",")


_Row = tuple[str, str, str, int, str, str, tuple[str, ...], Look]
# fmt: off
_ROWS: tuple[_Row, ...] = (
    # Loose produce: the brand is on a card, not on the thing.
    ("Bananas", "fruit", "Isla Dulce", 1000, "g", "1.79", ("banana", "bananas", "yellow fruit"),
     Look("banana")),
    ("Oranges", "fruit", "Naranjal", 1000, "g", "2.29", ("orange", "oranges", "citrus fruit"),
     Look("orange")),
    ("Lemons", "fruit", "Limonero", 500, "g", "1.49", ("lemon", "lemons", "citrus fruit"),
     Look("lemon")),
    ("Granny Smith apples", "fruit", "Obsthain", 1000, "g", "2.49", ("Granny Smith", "green apple", "apples"),
     Look("apple")),
    ("Strawberries", "fruit", "Erdbeerhof Lenz", 500, "g", "3.99", ("strawberry", "strawberries", "red berries"),
     Look("strawberry")),
    ("Pineapple", "fruit", "Isla Dulce", 1, "pc", "2.99", ("pineapple", "tropical fruit"),
     Look("pineapple")),
    ("Tomatoes", "vegetable", "Rossovivo", 500, "g", "1.99", ("tomato", "tomatoes", "red vegetable"),
     Look("tomato")),
    ("Bell peppers", "vegetable", "Rossovivo", 500, "g", "2.19", ("bell pepper", "sweet pepper", "paprika"),
     Look("bell_pepper")),
    ("Cucumber", "vegetable", "Gartenrein", 1, "pc", "0.89", ("cucumber", "green vegetable"),
     Look("cucumber")),
    ("Broccoli", "vegetable", "Gartenrein", 500, "g", "1.69", ("broccoli", "green vegetable"),
     Look("broccoli")),
    ("Mushrooms", "vegetable", "Waldkuppe", 400, "g", "1.99", ("mushroom", "white mushrooms"),
     Look("mushroom")),
    # Cartons and boxes.
    ("Whole Milk 3.5%", "carton", "Almwiese", 1000, "ml", "1.19", ("milk carton", "carton", "whole milk"),
     Look("milk_carton", "#f4f7fb", "#1560b0", "#0d3f7c", "milk", "wave", "#1560b0")),
    ("Oat Drink", "carton", "Haverlund", 1000, "ml", "1.99", ("oat drink carton", "carton", "oat milk"),
     Look("milk_carton", "#efe3cc", "#7a8f4b", "#4a3b22", "wheat", "circle", "#e9e2d0")),
    ("Orange Juice", "carton", "Naranjal", 1000, "ml", "2.49", ("orange juice carton", "carton", "juice"),
     Look("milk_carton", "#fff4dc", "#f08a10", "#2d6a1e", "orange", "wave", "#f08a10")),
    ("Crunchy Corn Flakes", "box", "Morgenkorn", 375, "g", "2.79", ("cereal box", "corn flakes", "breakfast cereal"),
     Look("box", "#ffcf2e", "#d2232a", "#7a1016", "bowl", "circle")),
    ("Long Grain Rice", "box", "Sundari", 500, "g", "1.89", ("rice box", "rice", "packet of rice"),
     Look("box", "#0f5f73", "#f2c14e", "#ffffff", "bowl", "band")),
    ("Darjeeling Tea", "box", "Hollis & Wren", 100, "g", "3.49", ("tea box", "black tea"),
     Look("wide_box", "#2f4b3a", "#c9a65b", "#f5ecd5", "leaf", "frame")),
    ("Washing Powder", "box", "Blanka", 1350, "g", "6.99", ("washing powder", "laundry detergent", "detergent box"),
     Look("box", "#1d4fb8", "#ffffff", "#ffdd33", "bubbles", "burst")),
    ("Dark Chocolate 72%", "bar", "Cacaoterra", 100, "g", "1.99", ("chocolate bar", "dark chocolate"),
     Look("bar", "#3b1e16", "#c79a4b", "#f3e3c3", "cocoa", "frame")),
    ("Butter Biscuits", "box", "Kekshaus", 250, "g", "1.59", ("biscuits", "cookies", "packet of biscuits"),
     Look("wide_box", "#f7e2b2", "#b5651d", "#6b2f0d", "biscuit", "circle")),
    # Bags.
    ("Wheat Flour", "bag", "Mühlbach", 1000, "g", "0.99", ("flour bag", "flour", "wheat flour"),
     Look("paper_bag", "#f6f1e4", "#c0392b", "#5a3a1a", "wheat", "band")),
    ("Fusilli", "bag", "Pastificio Oro", 500, "g", "1.29", ("pasta bag", "pasta", "fusilli"),
     Look("pillow_bag", "#163a7a", "#c8501e", "#ffffff", "pasta", "window")),
    ("Potato Crisps Paprika", "bag", "Knusperio", 175, "g", "1.99", ("crisps bag", "potato chips", "bag of crisps"),
     Look("pillow_bag", "#d7261e", "#ffd23c", "#ffffff", "crisps", "burst")),
    ("Coffee Beans", "bag", "Rösthaus Kante", 500, "g", "7.49", ("coffee bag", "coffee beans", "coffee"),
     Look("pillow_bag", "#2a2320", "#b8863b", "#f4e6cf", "beans", "frame")),
    # Bottles.
    ("Red Wine Tempranillo", "bottle", "Monte Alcor", 750, "ml", "5.99", ("wine bottle", "red wine"),
     Look("wine_bottle", "#f3ead6", "#6d1326", "#2b1a14", "grapes", "frame", "#1c2618")),
    ("Lager Beer", "bottle", "Brauhof Keld", 500, "ml", "0.95", ("beer bottle", "beer", "lager"),
     Look("beer_bottle", "#f6edd0", "#0f6a3c", "#0b3f26", "wheat", "circle", "#5a2c0c")),
    ("Mineral Water", "bottle", "Quellstein", 1500, "ml", "0.69", ("water bottle", "mineral water"),
     Look("water_bottle", "#e8f5fc", "#1b86c9", "#0c4d86", "drop", "wave", "#9fd3ee")),
    ("Cola", "bottle", "Kolari", 1000, "ml", "1.29", ("pop bottle", "cola", "soft drink"),
     Look("soda_bottle", "#c4121a", "#ffffff", "#ffffff", "bubbles", "burst", "#2a0f08")),
    ("Olive Oil Extra Virgin", "bottle", "Olivara", 500, "ml", "7.99", ("olive oil bottle", "olive oil"),
     Look("oil_bottle", "#f3eeda", "#6b7d1e", "#39420f", "olives", "frame", "#8a8a14")),
    ("Tomato Ketchup", "bottle", "Rossovivo", 500, "ml", "2.29", ("ketchup bottle", "ketchup"),
     Look("squeeze_bottle", "#b8120f", "#ffffff", "#ffffff", "tomato", "circle", "#c01a12")),
    ("Body Lotion", "bottle", "Livora", 400, "ml", "3.45", ("lotion", "body lotion", "soap dispenser"),
     Look("pump_bottle", "#fbeef2", "#d36a8e", "#8a2f52", "drop", "circle", "#fdf6f8")),
    ("Washing-up Liquid", "bottle", "Blanka", 500, "ml", "1.35", ("washing-up liquid", "dish soap"),
     Look("squeeze_bottle", "#27a35a", "#f7e733", "#ffffff", "bubbles", "burst", "#3ec46f")),
    # Jars, cans, tubs.
    ("Strawberry Jam", "jar", "Großmutter Hanne", 450, "g", "2.59", ("jam jar", "strawberry jam", "jar"),
     Look("jar", "#fff6ee", "#c8102e", "#5d0f1b", "strawberry", "frame", "#8e0f1e")),
    ("Blossom Honey", "jar", "Imkerei Sumsel", 500, "g", "5.49", ("honey jar", "honey"),
     Look("jar", "#fff3c9", "#d08a10", "#5b3a06", "honey", "circle", "#d98a0c")),
    ("Gherkins", "jar", "Gartenrein", 670, "g", "1.89", ("pickle jar", "gherkins", "pickled cucumbers"),
     Look("tall_jar", "#f0f6dc", "#3f7a2a", "#1f4513", "cucumber", "band", "#7d8f2b")),
    ("Basil Pesto", "jar", "Pastificio Oro", 190, "g", "2.29", ("pesto jar", "pesto"),
     Look("jar", "#f5f3e4", "#3d7a2c", "#20491a", "leaf", "band", "#5d7a22")),
    ("Chopped Tomatoes", "can", "Rossovivo", 400, "g", "0.89", ("tin of tomatoes", "tin can", "canned tomatoes"),
     Look("tin", "#f8efe0", "#c8201a", "#7c110d", "tomato", "band")),
    ("Sweetcorn", "can", "Maisolino", 285, "g", "1.19", ("tin of sweetcorn", "tin can", "canned corn"),
     Look("tin", "#1f7a3d", "#ffd93b", "#ffffff", "corn", "circle")),
    ("Tuna in Oil", "can", "Mar Serena", 160, "g", "1.99", ("tin of tuna", "canned fish", "tin can"),
     Look("flat_tin", "#0d4a86", "#f0c23a", "#ffffff", "fish", "window")),
    ("Lemonade", "can", "Fizzola", 330, "ml", "0.79", ("drink can", "lemonade can", "soda can"),
     Look("drink_can", "#ffe14a", "#2c9c47", "#14602a", "lemon", "burst")),
    ("Baked Beans", "can", "Hollis & Wren", 415, "g", "1.09", ("tin of beans", "tin can", "baked beans"),
     Look("tin", "#12837f", "#f5b82e", "#ffffff", "haricots", "frame")),
    ("Strawberry Yogurt", "tub", "Almwiese", 150, "g", "0.65", ("yogurt pot", "yogurt", "strawberry yogurt"),
     Look("tub", "#fdeff2", "#d81e4a", "#8e1030", "strawberry", "wave")),
)
# fmt: on

PRODUCTS: tuple[Product, ...] = tuple(
    Product(
        name,
        kind,
        brand,
        amount,
        unit,
        Decimal(price),
        with_check_digit(f"20{place + 1:05d}{7919 * (place + 3) % 100000:05d}"),
        words,
        look,
    )
    for place, (name, kind, brand, amount, unit, price, words, look) in enumerate(_ROWS)
)
