from slipway.demo_data.plan import BROKEN, OVERLAP_ROWS, editions, overlaps, spoilt

YEAR = range(365)
ENTITIES = ("customers", "items", "orders", "tweets", "products", "stores", "supplies")


def rows(entity: str, index: int) -> list[dict[str, str]]:
    return [
        {"id": f"{index}-{number}", "subtotal": "100", "tax_paid": "6", "order_total": "106"}
        for number in range(10)
    ]


def all_editions():
    for entity in ENTITIES:
        for index in YEAR:
            yield entity, index, editions(entity, index, rows(entity, index), rows(entity, index - 1))


def test_the_last_edition_is_always_the_truth():
    for entity, index, found in all_editions():
        last = found[-1].rows
        assert last[-10:] == rows(entity, index)
        if overlaps(entity, index):
            assert last[:OVERLAP_ROWS] == rows(entity, index - 1)[-OVERLAP_ROWS:]
        else:
            assert len(last) == 10


def test_a_correction_comes_later_and_differs():
    corrected = [found for _, _, found in all_editions() if len(found) > 1]
    assert len(corrected) > 15
    assert all(len(found) == 2 for found in corrected)
    assert all(wrong.day < right.day and wrong.rows != right.rows for wrong, right in corrected)


def test_some_are_late_and_one_is_broken():
    found = list(all_editions())
    assert sum(editions[0].day > index for _, index, editions in found) > 25
    assert [(entity, index) for entity, index, editions in found if editions[0].broken] == [BROKEN]


def test_the_first_week_has_one_of_everything():
    week = [(entity, index, found) for entity, index, found in all_editions() if found[-1].day < 7]
    assert any(len(found) > 1 for _, _, found in week)
    assert any(found[0].day > index for _, index, found in week)
    assert any(found[0].broken for _, _, found in week)


def test_spoilt_orders_lack_tax_and_the_last_of_them():
    wrong = spoilt("orders", rows("orders", 1))
    assert len(wrong) == 9
    assert {(row["tax_paid"], row["order_total"]) for row in wrong} == {("0", "100")}
