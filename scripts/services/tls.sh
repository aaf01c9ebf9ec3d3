# shellcheck shell=bash
# What servers need to answer over TLS, made once for each run folder: a private authority, a certificate
# that it has signed, and an authority that has signed nothing, for clients that must not get in by it.
#
# The certificate is for `localhost` alone. 127.0.0.1 is the same server by a name that is not in it.

# Whom clients are to trust, whom they are not to get by with, and the servers' key and certificate.
tls_ca="$run/tls/ca.pem"
tls_other_ca="$run/tls/other-ca.pem"
tls_server="$run/tls/server.pem"

tls_packages() { has openssl || echo openssl; }

make_certificates() {
    [ ! -e "$run/tls" ] || return 0
    has openssl || fail "openssl is missing, which makes the certificates of the services"
    local new="$run/tls.new" log="$run/logs/tls.log"
    rm -rf "$new"
    if ! (umask 077 && mkdir "$new" && cd "$new" && write_certificates) >"$log" 2>&1; then
        cat "$log" >&2
        fail "certificates could not be made; what openssl said is above"
    fi
    # Renamed into place, so that all of it is there.
    mv "$new" "$run/tls"
}

# Into the current folder.
write_certificates() {
    cat >openssl.cnf <<END
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
END
    local new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes) days=3650
    openssl req -config openssl.cnf -x509 -extensions authority "${new_key[@]}" -days "$days" \
        -subj "/CN=authority of Questlake's tests" -keyout ca.key -out ca.pem &&
        openssl req -config openssl.cnf -x509 -extensions authority "${new_key[@]}" -days "$days" \
            -subj "/CN=authority that has signed nothing" -keyout other-ca.key -out other-ca.pem &&
        openssl req -config openssl.cnf -new "${new_key[@]}" -subj /CN=localhost \
            -keyout server.key -out server.csr &&
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days "$days" \
            -extfile openssl.cnf -extensions server -out server.crt &&
        cat server.key server.crt >server.pem &&
        # Nothing else is ever signed.
        rm ca.key other-ca.key server.key server.csr server.crt openssl.cnf
}

tls_env() {
    printf 'export QUESTLAKE_TEST_CA=%q\n' "$tls_ca"
    printf 'export QUESTLAKE_TEST_OTHER_CA=%q\n' "$tls_other_ca"
}
