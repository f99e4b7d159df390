"""Makes an authority and certificates that it signs.

In: {"folder", "names": {folder below it: URI of the subject}}
Out: {}, and in each of those folders tls.crt, tls.key and ca.crt
"""
import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lab import answer, arguments

DAY = datetime.timedelta(days=1)


def certificate(name, key, issuer, issuer_key, extension):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
    return builder.add_extension(extension, critical=True).sign(issuer_key, hashes.SHA256())


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


args = arguments()
authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
authority_key = ec.generate_private_key(ec.SECP256R1())
top = certificate(authority, authority_key, authority, authority_key, x509.BasicConstraints(ca=True, path_length=0))
for folder, uri in args["names"].items():
    key = ec.generate_private_key(ec.SECP256R1())
    # The name of the subject is empty: who it is stands in the URI alone.
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    signed = certificate(x509.Name([]), key, authority, authority_key, names)
    place = os.path.join(args["folder"], folder)
    os.makedirs(place)
    write(os.path.join(place, "tls.crt"), signed.public_bytes(serialization.Encoding.PEM))
    write(os.path.join(place, "tls.key"), pem(key))
    write(os.path.join(place, "ca.crt"), top.public_bytes(serialization.Encoding.PEM))
answer({})
