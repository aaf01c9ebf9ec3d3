# shellcheck shell=bash
# S3: the Versity gateway, which speaks as Amazon S3 does and keeps its objects as files. It comes from
# the Go module proxy as source. Of two that put the same name with `If-None-Match: *` at once, exactly
# one succeeds, also across its processes.
#
# Once without encryption and once with: a process of it has one kind of port. Each has a bucket of its own.

versitygw_version=v1.8.0
versitygw_sum=h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=

s3_bucket=questlake-tests
s3_region=eu-west-1

s3_units() { echo s3 s3-tls; }
s3_address() { echo "127.0.0.1:$(s3_ports "$1")"; }
s3_stop_signal() { echo TERM; }

s3_ports() {
    if [ "$1" = s3-tls ]; then echo "$s3_tls_port"; else echo "$s3_port"; fi
}

versitygw_program() { echo "$cache/versitygw-$versitygw_version"; }

s3_packages() {
    if [ -x "$(versitygw_program)" ]; then return 0; fi
    go_packages "S3: install Go 1.21 or later (https://go.dev/dl), from which its server is built"
}

s3_fetch() {
    if [ -x "$(versitygw_program)" ]; then return 0; fi
    note "building the Versity S3 gateway $versitygw_version with go, which takes some minutes the first time …"
    build_with_go s3 github.com/versity/versitygw "$versitygw_version" "$versitygw_sum" \
        ./cmd/versitygw "$(versitygw_program)"
}

s3_start() {
    local unit=$1 listen data="$run/data/s3/$1"
    listen=(--port "127.0.0.1:$(s3_ports "$unit")")
    if [ "$unit" = s3-tls ]; then
        listen+=(--cert "$tls_server" --key "$tls_server")
    fi
    # A folder is a bucket. What there is to say of objects goes into files beside them: not every file
    # system has extended attributes. Without a folder for accounts, of which it has none, it answers an
    # unknown key otherwise than Amazon does.
    mkdir -p "$data/buckets/$s3_bucket" "$data/metadata" "$data/accounts"
    # Variables rather than flags: arguments can be read by others.
    ROOT_ACCESS_KEY_ID=questlake ROOT_SECRET_ACCESS_KEY=$(password) \
        spawn "$unit" "$(versitygw_program)" "${listen[@]}" --region "$s3_region" \
        --iam-dir "$data/accounts" --keep-alive --health /health --quiet posix --sidecar "$data/metadata" "$data/buckets"
}

s3_ready() {
    local answer
    if [ "$1" = s3-tls ]; then
        answer=$(printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' |
            timeout 3 openssl s_client -quiet -verify_quiet -verify_return_error -CAfile "$tls_ca" \
                -servername localhost -connect "127.0.0.1:$s3_tls_port" 2>/dev/null || true)
    else
        answer=$(http_get "$s3_port" /health)
    fi
    [[ "$answer" == HTTP/1.?' 200 '* ]]
}

s3_remove() { rm -rf "$run/data/s3"; }

s3_env() {
    local url="s3://$s3_bucket?region=$s3_region&access_key_id=questlake&secret_access_key=$(password)"
    printf 'export QUESTLAKE_TEST_S3_URL=%q\n' \
        "$url&endpoint=http://127.0.0.1:$s3_port&allow_http=true"
    printf 'export QUESTLAKE_TEST_S3_TLS_URL=%q\n' "$url&endpoint=https://localhost:$s3_tls_port"
}
