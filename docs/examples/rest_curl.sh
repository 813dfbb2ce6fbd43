#!/usr/bin/env bash
# Route a prompt, say what became of it, rate it, read the savings.
# SWITCHYARD_URL and SWITCHYARD_KEY are those that `make serve` prints.
set -euo pipefail

url="${SWITCHYARD_URL:-http://127.0.0.1:8000}/api/v1"

call() {
    curl --silent --show-error --fail-with-body \
        --header "Authorization: Bearer $SWITCHYARD_KEY" \
        --header "Content-Type: application/json" "$@"
}

decision=$(call "$url/route" --data '{"text": "Why does my loop skip the last item?", "unit_id": "user-42"}')
echo "$decision"

id=$(sed -E 's/.*"decision_id":"([^"]+)".*/\1/' <<<"$decision")

# Ask the model that was named, then:
call "$url/decisions/$id/outcome" \
    --data '{"input_tokens": 12, "output_tokens": 240, "latency_ms": 900, "success": true}'
call "$url/feedback" \
    --data "{\"decision_id\": \"$id\", \"metric\": \"quality\", \"value\": 0.9}"

call "$url/reports/savings"
