"""What the modules of ceph-mgr use of bcrypt, by the C library.

Each module runs in an interpreter of its own. Debian's bcrypt is written in Rust and refuses a second interpreter, so
that no module would load. This folder comes first in their path.
"""

import ctypes
import hmac
import os

_crypt = ctypes.CDLL("libcrypt.so.1")
# Its `struct crypt_data`, and the longest setting.
_DATA, _SETTING = 32768, 192
_crypt.crypt_rn.restype = ctypes.c_char_p
_crypt.crypt_rn.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
_crypt.crypt_gensalt_rn.restype = ctypes.c_char_p
_crypt.crypt_gensalt_rn.argtypes = [
    ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
]


def gensalt(rounds=12, prefix=b"2b"):
    random = os.urandom(16)
    setting = ctypes.create_string_buffer(_SETTING)
    salt = _crypt.crypt_gensalt_rn(b"$" + prefix + b"$", rounds, random, len(random), setting, _SETTING)
    if salt is None:
        raise ValueError("no such prefix, or number of rounds")
    return salt


def hashpw(password, salt):
    # As bcrypt itself, which takes no more into account.
    hashed = _crypt.crypt_rn(password[:72], salt, ctypes.create_string_buffer(_DATA), _DATA)
    if hashed is None:
        raise ValueError("Invalid salt")
    return hashed


def checkpw(password, hashed_password):
    return hmac.compare_digest(hashpw(password, hashed_password), hashed_password)
