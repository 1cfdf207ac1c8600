"""PKI and kubeconfig: complete, idempotent, private, and made anew where they must be."""

import base64
import datetime
import stat

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from actors.api.config import ApiServerConfig, ClusterConfig, NodeConfig
from actors.cluster import kubeconfig, pki


def config(**apiserver) -> ClusterConfig:
    return ClusterConfig(nodes={"m1": NodeConfig(roles=["apiserver"])}, apiserver=ApiServerConfig(**apiserver))


def names_of(path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in extension}


def test_prepares_all_files_with_private_keys(tmp_path):
    made = pki.prepare(tmp_path, config())
    for name in ("ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "admin.crt", "admin.key", "sa.key", "sa.pub"):
        assert (made.directory / name).exists()
    for key in made.directory.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_serving_certificate_covers_the_names_clients_use(tmp_path):
    made = pki.prepare(tmp_path, config(extra_names=["api.example.org", "192.0.2.7"]))
    names = names_of(made.crt("apiserver"))
    assert {"127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1", "api.example.org", "192.0.2.7"} <= names


def test_admin_is_of_system_masters(tmp_path):
    made = pki.prepare(tmp_path, config())
    subject = x509.load_pem_x509_certificate(made.crt("admin").read_bytes()).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:masters"]


def test_second_run_changes_nothing(tmp_path):
    first = {p.name: p.read_bytes() for p in pki.prepare(tmp_path, config()).directory.iterdir()}
    assert first == {p.name: p.read_bytes() for p in pki.prepare(tmp_path, config()).directory.iterdir()}


def test_new_names_renew_only_the_serving_certificate(tmp_path):
    first = {p.name: p.read_bytes() for p in pki.prepare(tmp_path, config()).directory.iterdir()}
    made = pki.prepare(tmp_path, config(extra_names=["other.example.org"]))
    second = {p.name: p.read_bytes() for p in made.directory.iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"apiserver.crt"}
    assert "other.example.org" in names_of(made.crt("apiserver"))


def test_certificate_near_its_end_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(pki, "LEAF_LIFETIME_DAYS", 10)
    pki.prepare(tmp_path, config())
    monkeypatch.setattr(pki, "LEAF_LIFETIME_DAYS", 365)
    made = pki.prepare(tmp_path, config())
    end = x509.load_pem_x509_certificate(made.crt("admin").read_bytes()).not_valid_after_utc
    assert end > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=300)


def test_damaged_key_is_named_and_not_replaced(tmp_path):
    made = pki.prepare(tmp_path, config())
    made.ca_key.write_text("nonsense")
    with pytest.raises(pki.PkiError, match="ca.key"):
        pki.prepare(tmp_path, config())
    assert made.ca_key.read_text() == "nonsense"


def test_foreign_ca_certificate_is_refused(tmp_path):
    made = pki.prepare(tmp_path / "a", config())
    other = pki.prepare(tmp_path / "b", config())
    made.ca_crt.write_bytes(other.ca_crt.read_bytes())
    with pytest.raises(pki.PkiError, match="ca.crt"):
        pki.prepare(tmp_path / "a", config())


def test_loose_key_mode_is_tightened(tmp_path):
    made = pki.prepare(tmp_path, config())
    made.ca_key.chmod(0o644)
    pki.prepare(tmp_path, config())
    assert stat.S_IMODE(made.ca_key.stat().st_mode) == 0o600


def test_issued_client_certificate_carries_user_and_groups(tmp_path):
    made = pki.prepare(tmp_path, config())
    certificate, _ = pki.issue_client(made, "jane", ["dev", "ops"])
    subject = x509.load_pem_x509_certificate(certificate).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "jane"
    assert {a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)} == {"dev", "ops"}


def test_kubeconfig_embeds_certificates(tmp_path):
    made = pki.prepare(tmp_path, config())
    file = kubeconfig.write(tmp_path, config(port=7443))
    document = yaml.safe_load(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"
    assert base64.b64decode(document["users"][0]["user"]["client-key-data"]) == made.key("admin").read_bytes()


def test_kubeconfig_of_port_zero_needs_the_endpoint(tmp_path):
    pki.prepare(tmp_path, config())
    with pytest.raises(kubeconfig.EndpointUnknown):
        kubeconfig.write(tmp_path, config(port=0))
    endpoint = tmp_path / "actors" / "apiserver@m1" / "endpoint"
    endpoint.parent.mkdir(parents=True)
    endpoint.write_text("127.0.0.1:40123\n")
    assert "https://127.0.0.1:40123" in kubeconfig.write(tmp_path, config(port=0)).read_text()


@pytest.mark.parametrize(
    ("bind", "url"),
    [("0.0.0.0", "https://127.0.0.1:6443"), ("::", "https://[::1]:6443"), ("fd00::5", "https://[fd00::5]:6443")],
)
def test_server_url_is_one_a_client_can_use(tmp_path, bind, url):
    assert kubeconfig.server_url(tmp_path, config(bind=bind)) == url
