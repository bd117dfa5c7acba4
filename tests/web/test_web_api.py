"""The JSON API: answers, problems, limits, and its description."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web.access import stated
from dermaloop.web.app import MOUNTS
from dermaloop.web.errors import STATUS
from support.hostile import hostile_files


def _files(*pairs):
    return [("pictures", pair) for pair in pairs]


def test_an_assessed_picture_has_everything_the_record_has(client, lesion_jpeg, toy_classifier):
    answer = client.post("/api/v1/classify", files=_files(("a.jpg", lesion_jpeg)))

    assert answer.status_code == 200
    assert answer.json()["disclaimer"] == "Decision support for research use. Not a medical device."
    (result,) = answer.json()["results"]
    expected = toy_classifier.classify(lesion_jpeg, "a.jpg")
    assert result["status"] == "assessed"
    assert result["decision"] == expected.decision.value
    assert result["malignant_probability"] == pytest.approx(expected.malignant_probability)
    assert result["sha256"] == expected.sha256
    assert result["bundle"] == toy_classifier.bundle.identity
    assert set(result["probabilities"]) == set(Diagnosis)
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    assert len(result["similar"]) == 5
    assert result["heatmap"] is None


def test_the_heatmap_comes_as_numbers_or_as_a_picture(client, lesion_jpeg, toy_classifier):
    expected = toy_classifier.classify(lesion_jpeg).heatmap

    as_array = client.post("/api/v1/classify?heatmap=array", files=_files(("a.jpg", lesion_jpeg))).json()
    values = np.asarray(as_array["results"][0]["heatmap"]["values"])
    np.testing.assert_allclose(values, expected, atol=1e-4)

    as_png = client.post("/api/v1/classify?heatmap=png", files=_files(("a.jpg", lesion_jpeg))).json()
    picture = Image.open(io.BytesIO(base64.b64decode(as_png["results"][0]["heatmap"]["png"])))
    assert picture.mode == "RGBA"
    assert picture.getextrema()[3][0] < picture.getextrema()[3][1]


def test_a_declined_picture_keeps_its_probabilities_but_has_no_decision(client, blank_png):
    (result,) = client.post("/api/v1/classify", files=_files(("a.png", blank_png))).json()["results"]

    assert result["status"] == "abstained"
    assert result["decision"] is None
    assert [reason["code"] for reason in result["reasons"]] == ["blurred"]
    assert result["reasons"][0]["value"] > result["reasons"][0]["limit"]
    assert result["malignant_probability"] is not None


def test_one_bad_file_does_not_hide_the_others(client, lesion_jpeg):
    answer = client.post(
        "/api/v1/classify", files=_files(("a.jpg", lesion_jpeg), ("b.jpg", b"nothing"), ("c.jpg", lesion_jpeg))
    )

    assert [one["image"] for one in answer.json()["results"]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [one["status"] for one in answer.json()["results"]] == ["assessed", "unreadable", "assessed"]


HOSTILE = hostile_files()


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_file_gets_its_named_reason(client, name):
    content, reason = HOSTILE[name]

    answer = client.post("/api/v1/classify", files=_files((name.replace("\n", " "), content)))

    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    assert [one["code"] for one in result["reasons"] if result["status"] == "unreadable"] == (
        [reason] if reason else []
    )


def test_there_are_enough_hostile_files():
    assert sum(reason is not None for _, reason in HOSTILE.values()) >= 40


def _problem(answer, code):
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert answer.status_code == problem["status"] == STATUS[code]
    assert problem["type"] == f"urn:dermaloop:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_a_file_over_the_limit_is_refused_by_name_and_place(make_client, lesion_jpeg):
    client = make_client(max_file_bytes=2000)
    problem = _problem(
        client.post("/api/v1/classify", files=_files(("ok.jpg", b"x" * 2000), ("big.jpg", lesion_jpeg))),
        "file_too_large",
    )
    assert problem["field"] == "pictures[1]"
    assert "big.jpg" in problem["detail"]
    assert problem["way_out"]


def test_a_file_of_exactly_the_limit_is_taken(make_client):
    client = make_client(max_file_bytes=2000)
    assert client.post("/api/v1/classify", files=_files(("ok.jpg", b"x" * 2000))).status_code == 200


def test_too_many_files_are_refused(make_client):
    client = make_client(max_files=2)
    _problem(client.post("/api/v1/classify", files=_files(*[("a.jpg", b"x")] * 3)), "too_many_files")


def test_too_many_parts_of_any_kind_are_refused(make_client):
    client = make_client(max_files=2)
    parts = [("other", ("", b"x")) for _ in range(50)]
    _problem(client.post("/api/v1/classify", files=parts), "too_many_files")


def test_too_large_a_request_is_refused_by_its_announced_length(make_client):
    client = make_client(max_total_bytes=2000)
    _problem(client.post("/api/v1/classify", files=_files(("a.jpg", b"x" * 3000))), "request_too_large")


def test_too_large_a_request_is_refused_while_it_arrives(make_client):
    client = make_client(max_total_bytes=2000)
    sent = []

    def body():
        yield b'--b\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n'
        for number in range(100):
            sent.append(number)
            yield b"x" * 100

    headers = {"content-type": "multipart/form-data; boundary=b"}
    _problem(client.post("/api/v1/classify", content=body(), headers=headers), "request_too_large")


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{}", "application/json", "not_multipart"),
        (b"", "", "not_multipart"),
        (b"", "multipart/form-data", "not_multipart"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", "no_picture"),
        (b"garbage", "multipart/form-data; boundary=b", "malformed_upload"),
        (
            b'--b\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\ncut',
            "multipart/form-data; boundary=b",
            "malformed_upload",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"; filename="a.jpg"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "no_picture",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="pictures"; filename=""\r\n\r\n\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "no_picture",
        ),
        (b"--b\r\nX-Long: " + b"y" * 20_000, "multipart/form-data; boundary=b", "malformed_upload"),
    ],
)
def test_a_request_without_pictures_says_what_is_wrong(client, body, kind, code):
    problem = _problem(client.post("/api/v1/classify", content=body, headers={"content-type": kind}), code)
    assert problem["way_out"]


def test_a_wrong_parameter_is_named(client, lesion_jpeg):
    problem = _problem(
        client.post("/api/v1/classify?heatmap=gif", files=_files(("a.jpg", lesion_jpeg))), "bad_parameter"
    )
    assert problem["field"] == "heatmap"


def test_unknown_addresses_and_methods_are_problems_too(client):
    _problem(client.get("/api/v1/nothing"), "not_found")
    answer = client.get("/api/v1/classify")
    _problem(answer, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_file_name_is_shown_without_its_folders_and_controls(client, lesion_jpeg):
    raw = (
        b'--b\r\nContent-Disposition: form-data; name="pictures"; filename="../../etc/na\x01me\xff.jpg"\r\n\r\n'
        + lesion_jpeg
        + b"\r\n--b--\r\n"
    )
    answer = client.post("/api/v1/classify", content=raw, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.json()["results"][0]["image"] == "name\ufffd.jpg"


def test_the_model_is_described(client, toy_classifier):
    answer = client.get("/api/v1/model").json()
    spec = toy_classifier.bundle.spec
    assert answer["identity"] == toy_classifier.bundle.identity
    assert answer["operating_point"] == spec.default_operating_point
    assert [point["name"] for point in answer["operating_points"]] == [point.name for point in spec.operating_points]
    assert [one["code"] for one in answer["diagnoses"]] == [str(one) for one in Diagnosis]
    assert answer["licence"] == spec.licence


def test_the_probes_tell_running_from_ready(make_client):
    client = make_client()
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.app.state.desk.ready = False
    answer = client.get("/readyz")
    _problem(answer, "not_ready")
    assert int(answer.headers["retry-after"]) > 0
    assert client.get("/healthz").status_code == 200


def test_the_description_is_whole(client):
    document = client.get("/api/openapi.json").json()
    text = json.dumps(document)
    routes = {one.path for one in stated(client.app.routes, MOUNTS)}
    machines = {path for path in routes if path.startswith(("/api/v1/", "/healthz", "/readyz"))}
    assert set(document["paths"]) == machines, "every route for programs is described, and no page is"
    assert machines >= {"/api/v1/audit", "/api/v1/classify", "/api/v1/model", "/api/v1/cases", "/healthz", "/readyz"}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for name in ("summary", "description", "responses", "tags"):
                assert operation[name], (path, name)
    for name in _references(document):
        assert name in document["components"]["schemas"]
    classify = document["paths"]["/api/v1/classify"]["post"]
    assert "multipart/form-data" in classify["requestBody"]["content"]
    assert {"200", "400", "401", "403", "408", "413", "415", "422", "503", "504"} <= set(classify["responses"])
    assert "HTTPValidationError" not in text
    assert classify["security"] == [{"token": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert document["components"]["schemas"]["ResultModel"]["properties"]["malignant_probability"]["examples"]


def _references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rsplit("/", 1)[-1]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)
