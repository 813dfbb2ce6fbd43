"""Route a prompt over REST, answer it, report what became of it. Errors say what to do.

Run with SWITCHYARD_URL and SWITCHYARD_KEY as `make serve` prints them.
"""

import os
import time
from typing import Any

import httpx

client = httpx.Client(
    base_url=os.environ.get("SWITCHYARD_URL", "http://127.0.0.1:8000"),
    headers={"Authorization": f"Bearer {os.environ['SWITCHYARD_KEY']}"},
    timeout=10,
)


def post(path: str, body: dict[str, Any]) -> Any:
    """The answer; waits and tries again where the server asks for it (429, 503)."""
    while True:
        response = client.post(f"/api/v1/{path}", json=body)
        if "Retry-After" not in response.headers:
            break
        time.sleep(int(response.headers["Retry-After"]))
    if response.is_error:
        error = response.json()["error"]
        raise SystemExit(f"{response.status_code} {error['param']}: {error['message']}")
    return response.json() if response.content else None


messages = [{"role": "user", "content": "Write a limerick about a lighthouse."}]
decision = post("route", {"messages": messages, "unit_id": "user-42"})
print(f"{decision['domain']['name']}: ask {decision['model']} ({decision['reason']})")

# … ask that model here, then say how it went:
report = {"output_tokens": 60, "latency_ms": 1250.0, "success": True}
post(f"decisions/{decision['decision_id']}/outcome", report)

# Ratings may come days later, and more than one at a time.
rating = {"decision_id": decision["decision_id"], "metric": "quality", "value": 0.8}
answer = post("feedback", {"items": [rating, {**rating, "source": "judge", "value": 0.7}]})
print("ratings:", [result["status"] for result in answer["results"]])

savings = client.get("/api/v1/reports/savings").json()["total"]
random = savings["against"]["random"]
print(f"saved {savings['saving']} USD against the baseline, {random['saving']} against random")
