"""What every party-side process is made of: verify, sign, seal, sign in.

strict_json                 one reading of JSON and of base64url
keys                        keys, thumbprints, the encrypted key file
jose · sdjwt                JWS and SD-JWT, verified without leniency
statements                  the typed statements of adapters/protocol.py, made and verified
sealing                     documents encrypted for one reader
register · key_directory    who is who, and whose keys hold now
session                     the authenticated way to the gateway
"""
