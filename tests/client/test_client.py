"""The client against a really running server: a case from end to end, lost connections, and what is refused."""

import datetime as dt
import socket
import threading
import time
import uuid
import zipfile

import httpx
import pytest
from pydantic import ValidationError

from dermaloop.cases.roles import Role, Scope
from dermaloop.client import (
    Client,
    ClientError,
    ConfirmationEntry,
    ImpressionEntry,
    LesionEntry,
    PatientEntry,
    PracticeSettings,
    ProblemError,
)
from dermaloop.client.content import read
from dermaloop.client.transport import Transport
from dermaloop.core.bundle import open_bundle
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from dermaloop.wire.assessment import HeatmapFormat
from dermaloop.wire.documents import Practice
from support.hostile import save
from support.live import serving
from support.people import PASSWORD, add_account, make_token, new_store
from support.toy import toy_bundle

DAY = dt.date(2026, 3, 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("client") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def address(store, tmp_path_factory):
    classifier = Classifier(open_bundle(toy_bundle(tmp_path_factory.mktemp("bundle"))), threads=1)
    with serving(create_app(Settings(), classifier, store)) as found:
        yield found


@pytest.fixture(scope="module")
def token(store):
    return make_token(store, add_account(store, Role.ADMIN, password=PASSWORD), list(Scope))


@pytest.fixture
def client(address, token):
    with Client(address, token) as opened:
        yield opened


@pytest.fixture(scope="module")
def jpeg():
    return save(draw_lesion(4, size_px=200, malignant=True), "JPEG", quality=90)


@pytest.fixture
def lesion(client):
    patient = client.make_patient(PatientEntry(pseudonym=f"P-{uuid.uuid4()}"))
    return client.make_lesion(patient.id, LesionEntry(site="torso"))


def test_a_case_from_the_first_picture_to_the_confirmed_diagnosis(client, jpeg, tmp_path):
    assert client.token().role == "admin"
    patient = client.make_patient(PatientEntry(pseudonym="P-0174", birth_year=1957, sex="female", skin_type=2))
    assert client.change_patient(patient.id, PatientEntry(pseudonym="P-0174", birth_year=1958)).birth_year == 1958
    lesion = client.make_lesion(patient.id, LesionEntry(site="torso", view="back", x=0.4, y=0.3, label="scapula"))
    assert client.change_lesion(lesion.id, LesionEntry(site="torso")).view is None
    path = tmp_path / "b.png"
    path.write_bytes(save(draw_lesion(9, size_px=200), "PNG"))

    taken = client.upload(
        lesion.id, [("a.jpg", jpeg), path, ("c.txt", b"no picture")], visited_on=DAY, pixel_size_mm=0.02
    )

    assert [one.name for one in taken.taken] == ["a.jpg", "b.png"]
    assert [(one.name, one.reasons[0].code) for one in taken.refused] == [("c.txt", "not_an_image")]
    case = client.case(taken.case_id)
    assert [image.pixel_size_mm for image in case.images] == [0.02, 0.02]
    assert {one.image_id for one in case.predictions} == {one.image_id for one in taken.taken}
    assert client.prediction(case.predictions[0].id) == case.predictions[0]
    assert client.image_file(case.images[0].id).startswith(b"\xff\xd8")
    assert client.heatmap(case.predictions[0].id).startswith(b"\x89PNG")
    assert client.image(case.images[0].id) == case.images[0]
    assert client.report(case.case.id).limits

    impression = client.add_impression(case.case.id, ImpressionEntry(management="excision", diagnosis="MEL"))
    assert impression.timing == "after"
    assert client.sign_off(case.case.id).kind == "signed"
    assert client.reopen(case.case.id, reason="one more look").kind == "reopened"
    client.sign_off(case.case.id)
    assert client.case(case.case.id).case.state == "awaiting"
    finding = {"confirmation": "histopathology", "confirmed_on": DAY}
    wrong = client.confirm(case.case.id, ConfirmationEntry(**finding, diagnosis="NV"))
    assert client.retract(wrong.id, reason="of another lesion").retracted
    right = client.confirm(case.case.id, ConfirmationEntry(**finding, diagnosis="MEL"))
    found = client.case(case.case.id)
    assert found.standing_confirmation_ids == [right.id]
    assert found.case.state == "done"
    assert client.case_counts().done >= 1
    assert [row.case.id for row in client.cases(state="done", search="p-0174")] == [case.case.id]
    assert len(client.lesion(lesion.id).pictures) == 2

    client.export_patient(patient.id, tmp_path / "record.zip")
    with zipfile.ZipFile(tmp_path / "record.zip") as packed:
        assert packed.testzip() is None
        assert len([name for name in packed.namelist() if name.startswith("images/")]) == 2
    assert client.delete_patient(patient.id, pseudonym="P-0174", reason="request").images_removed == 2
    with pytest.raises(ProblemError) as gone:
        client.patient(patient.id)
    assert (gone.value.status, gone.value.code) == (404, "record_not_found")


def test_classifying_stores_nothing(client, jpeg, store):
    (result,) = client.classify([("a.jpg", jpeg)], heatmap=HeatmapFormat.PNG)
    assert result.status == "assessed"
    assert result.heatmap.png
    assert client.model().identity == result.bundle
    assert not [entry for entry in store.images.entries() if entry.sha256 == result.sha256]


def test_lists_are_read_to_their_end_page_by_page(client, address, token, monkeypatch):
    names = {client.make_patient(PatientEntry(pseudonym=f"page {number}")).pseudonym for number in range(5)}
    asked = []
    send = Transport.get

    def few(self, path, **params):
        asked.append(params)
        return send(self, path, limit=2, **params)

    monkeypatch.setattr(Transport, "get", few)
    assert {one.pseudonym for one in client.patients("PAGE ")} == names
    assert len(asked) == 3
    assert asked[0]["cursor"] is None
    assert asked[1]["cursor"] != asked[2]["cursor"]


def test_the_practice_is_changed_and_the_answer_hidden_until_the_impression_is_in(client, lesion, jpeg):
    assert client.change_practice(PracticeSettings(name="Skin", hide_answer_until_impression=True)).name == "Skin"
    try:
        case = client.upload(lesion.id, [("a.jpg", jpeg)], visited_on=DAY).case_id
        hidden = client.case(case)
        assert hidden.answer_hidden
        assert hidden.predictions == []
        assert hidden.case.suspicion is None
        assert client.add_impression(case, ImpressionEntry(management="no action", text="Harmless.")).timing == "before"
        assert client.case(case).predictions
    finally:
        client.change_practice(PracticeSettings(name="", hide_answer_until_impression=False))
    assert client.practice().hide_answer_until_impression is False


def test_a_screening_list_is_made_filled_and_read(client, jpeg):
    made = client.make_screening("Camera 2")
    assert client.add_to_screening(made.id, [("a.jpg", jpeg), ("b.txt", b"x")]).arrived == 2
    for _ in range(3600):
        if not client.screening(made.id).waiting:
            break
        time.sleep(0.05)
    rows = list(client.screening_pictures(made.id))
    assert [(row.name, row.result.status) for row in rows] == [("a.jpg", "assessed"), ("b.txt", "unreadable")]


def test_a_screening_s_picture_is_given_to_a_lesion_and_the_table_saved(client, lesion, jpeg, tmp_path):
    made = client.make_screening("Camera 3")
    client.add_to_screening(made.id, [("a.jpg", jpeg)])
    for _ in range(3600):
        if not client.screening(made.id).waiting:
            break
        time.sleep(0.05)
    assert made.id in [one.id for one in client.screenings()]
    assert [(one.name, one.size_bytes) for one in client.screening_files(made.id)] == [("a.jpg", len(jpeg))]
    (row,) = client.screening_pictures(made.id)
    assert client.screening_picture(row.id).picture.result.status == "assessed"
    assert client.screening_picture_file(row.id).startswith(b"\xff\xd8")
    assert client.screening_picture_file(row.id, "small").startswith(b"\xff\xd8")
    assert client.screening_picture_file(row.id, "heatmap").startswith(b"\x89PNG")
    filed = [client.file_screening_picture(row.id, lesion.id, visited_on=DAY, key="file-1") for _ in range(2)]
    assert filed[0] == filed[1]
    assert client.case(filed[0].id).images
    client.save_screening_results(made.id, tmp_path / "table.csv")
    assert "a.jpg" in (tmp_path / "table.csv").read_text()
    assert client.stop_screening(made.id).cancelled_at is not None
    assert client.resume_screening(made.id).cancelled_at is None
    assert client.delete_screening(made.id).images_removed == 0, "the patient's record has it"


def test_two_pictures_of_a_lesion_lie_on_each_other(client, lesion, jpeg):
    assert client.follow_up(lesion.id).compared is None
    for day in (DAY, dt.date(2026, 9, 1)):
        client.upload(lesion.id, [("a.jpg", save(draw_lesion(4, size_px=200 + day.month), "JPEG"))], visited_on=day)
    found = client.follow_up(lesion.id)
    assert [point.visited_on for point in found.probabilities] == [DAY, dt.date(2026, 9, 1)]
    assert found.compared.first.visit.visited_on == DAY
    assert found.compared.said


def test_what_leads_and_administrators_do_is_done_by_methods_too(client, store, tmp_path):
    person = client.make_person("Dr. New", "clinician")
    assert client.invite(person.id).address.startswith("http://127.0.0.1")
    assert client.change_role(person.id, "viewer").role == "viewer"
    assert client.disable_person(person.id).disabled_at is not None
    assert client.enable_person(person.id).disabled_at is None
    assert "Dr. New" in [one.name for one in client.people()]
    assert list(client.flags()) == []
    assert client.watch().look is None
    assert client.insights(since=DAY).since == DAY
    assert next(iter(client.audit(action="account."))).subject_id == person.id
    client.save_audit(tmp_path / "audit.jsonl", action="account.")
    assert '"account.enabled"' in (tmp_path / "audit.jsonl").read_text()
    assert client.models().champion_id is None
    assert client.model_card().identity == client.model().identity
    for password, code in ((PASSWORD, "conflict"), ("wrong", "wrong_password")):
        with pytest.raises(ProblemError) as refused:
            client.roll_back(reason="x", password=password)
        assert refused.value.code == code, "signed, there is nothing to take back; else not even that is told"


def test_a_client_ends_its_own_token(address, store):
    with Client(address, make_token(store, add_account(store, Role.VIEWER), [Scope.CLASSIFY])) as done:
        assert done.revoke_token().name == "test"
        with pytest.raises(ProblemError) as refused:
            done.model()
    assert refused.value.code == "bad_token"


# -- lost connections -------------------------------------------------------------------------------------------------


class Lossy:
    """A way to the server on which the first answers are lost, after the server has done what it was asked."""

    def __init__(self, address, losses):
        self._server = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        self._losses = losses
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with near, socket.create_connection(self._server) as far:
                self._carry(near, far, loses=self.connections <= self._losses)

    def _carry(self, near, far, *, loses):
        """One request to the server, and its answer back, or not."""
        request = b""
        while b"\r\n\r\n" not in request:
            request += near.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
        while len(body) < length:
            body += near.recv(65536)
        far.sendall(head.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1) + b"\r\n\r\n" + body)
        answer = b""
        while piece := far.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 201"), answer[:300]
        if not loses:
            near.sendall(answer)


@pytest.fixture
def hurried(monkeypatch):
    """No waiting between tries; gives how long each would have been."""
    waits = []
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", waits.append)
    return waits


def test_an_upload_whose_answer_was_lost_twice_makes_one_case_and_is_answered(address, token, lesion, jpeg, hurried):
    with Lossy(address, losses=2) as way, Client(way.address, token) as unlucky:
        taken = unlucky.upload(lesion.id, [("a.jpg", jpeg)], visited_on=DAY)
    assert way.connections == 3
    with Client(address, token) as client:
        pictures = client.lesion(lesion.id).pictures
    assert [one.image.id for one in pictures] == [one.image_id for one in taken.taken]
    assert pictures[0].image.case_id == taken.case_id
    assert hurried == sorted(hurried)
    assert len(hurried) == 2
    assert hurried[0] >= 0.5


def test_a_patient_and_a_lesion_are_not_made_twice_either(client, address, token, hurried):
    with Lossy(address, losses=1) as way, Client(way.address, token) as unlucky:
        patient = unlucky.make_patient(PatientEntry(pseudonym="lost once"))
    with Lossy(address, losses=1) as way, Client(way.address, token) as unlucky:
        lesion = unlucky.make_lesion(patient.id, LesionEntry())
    assert [one.id for one in client.patients("lost once")] == [patient.id]
    assert [one.id for one in client.patient(patient.id).lesions] == [lesion.id]


def test_a_program_that_was_restarted_asks_again_with_its_own_key(address, token, lesion, jpeg):
    answers = []
    for _ in range(2):
        with Client(address, token) as client:
            answers.append(client.upload(lesion.id, [("a.jpg", jpeg)], visited_on=DAY, key="import-4711"))
    assert answers[0] == answers[1]
    with Client(address, token) as client, pytest.raises(ProblemError) as refused:
        client.upload(lesion.id, [("b.jpg", jpeg)], visited_on=DAY, key="import-4711")
    assert refused.value.code == "idempotency_key_reused"
    assert refused.value.status == 422


def test_a_server_that_is_not_there_is_said_so_after_all_tries(token, hurried):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", token, attempts=3) as client, pytest.raises(ClientError) as lost:
        client.practice()
    assert "gave no answer" in str(lost.value)
    assert str(port) in lost.value.where
    assert lost.value.way_out
    assert len(hurried) == 2


def _transport(handler, token="t", **options):
    transport = Transport(
        "http://127.0.0.1:1", token, timeout_s=1, attempts=4, authority=None, plain_http=False, **options
    )
    transport._http._transport = httpx.MockTransport(handler)
    return transport


def test_a_busy_server_is_asked_again_when_it_says_and_a_refusal_is_not():
    waits, seen = [], []

    def handler(request):
        seen.append(request.headers.get("idempotency-key"))
        return httpx.Response(503, headers={"Retry-After": "7"}) if len(seen) < 3 else httpx.Response(201, json={})

    transport = _transport(handler, sleep=waits.append)
    assert transport.post("/patients", json={}).status_code == 201
    assert len(set(seen)) == 1, "the key is the same at every try"
    assert all(7 <= wait <= 7 * 1.25 for wait in waits)

    seen.clear()
    refused = _transport(lambda request: seen.append(request) or httpx.Response(422, text="no"), sleep=waits.append)
    with pytest.raises(ProblemError, match="422"):
        refused.get("/patients")
    assert len(seen) == 1


def test_a_deletion_is_not_sent_again_once_it_may_have_arrived():
    seen = []

    def handler(request):
        seen.append(request)
        raise httpx.ReadError("lost", request=request)

    with pytest.raises(ClientError, match="no answer"):
        _transport(handler, sleep=lambda _: None).send("POST", "/patients/x/deletion", again=False)
    assert len(seen) == 1


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["clinic", "ftp://clinic", "http://", "http://clinic:port", "https://ada:secret@clinic"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ClientError, match="no address"):
        Client(address, "t")


def test_a_token_does_not_go_over_an_open_network_by_mistake():
    with pytest.raises(ClientError, match="everybody to read"):
        Client("http://clinic.example.org", "t")
    Client("http://clinic.example.org", "t", plain_http=True).close()
    Client("https://clinic.example.org", "t").close()
    Client("http://[::1]:8000", "t").close()


def test_a_problem_keeps_its_field_and_its_way_out(client, lesion):
    with pytest.raises(ProblemError) as refused:
        client.make_patient(PatientEntry(pseudonym="two\nlines"))
    assert refused.value.code == "invalid_record"
    assert refused.value.where == "pseudonym"
    assert refused.value.way_out == "Write it on one line."
    assert "pseudonym" in str(refused.value)


def test_a_bad_token_and_a_page_in_front_of_the_server_are_told_apart(address):
    with Client(address, "dermaloop_wrong") as client, pytest.raises(ProblemError) as refused:
        client.token()
    assert refused.value.code == "bad_token"
    gateway = _transport(lambda request: httpx.Response(404, html="<h1>Not here</h1>"))
    with pytest.raises(ProblemError) as refused:
        gateway.get("/token")
    assert refused.value.code == "http_404"
    assert refused.value.problem is None


def test_an_id_stays_one_part_of_the_address(client):
    with pytest.raises(ProblemError) as refused:
        client.patient("../practice")
    assert refused.value.status == 404


def test_a_wrong_entry_is_refused_before_it_is_sent():
    with pytest.raises(ValidationError, match="together"):
        LesionEntry(view="front")
    with pytest.raises(ValidationError):
        PatientEntry(pseudonym="x", sex="other")


def test_a_picture_that_cannot_be_read_is_named(client, lesion, tmp_path):
    with pytest.raises(ClientError, match="no-such"):
        client.upload(lesion.id, [tmp_path / "no-such.jpg"], visited_on=DAY)


def test_an_answer_of_another_version_is_an_error_with_a_way_out():
    request = httpx.Request("GET", "http://127.0.0.1/api/v1/practice?secret=1")
    with pytest.raises(ClientError, match="same version") as wrong:
        read(Practice, httpx.Response(200, json={"name": 1}, request=request))
    assert "secret" not in str(wrong.value)
    found = read(Practice, httpx.Response(200, json={"name": "", "hide_answer_until_impression": True, "new": 1}))
    assert found.hide_answer_until_impression, "what a newer server says beyond that is left out"
