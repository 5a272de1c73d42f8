"""What `upstream` looks at: the gateway before llama.cpp's server, the noise of that server, and a network whose hosts use it."""

import json
import re
import subprocess
import sys
import time
import urllib.request

import openai

# How long is waited for a lane, for receipts in commitments, and for verdicts.
DEADLINE_S = 600
QUESTION = [{"role": "user", "content": "What is Freeway?"}]


def wait_for(what, look):
    """The first answer of `look` that is not None."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(2)
    raise AssertionError(f"waited {DEADLINE_S} s for {what}")


def gateway(ready):
    client = openai.OpenAI(base_url=ready["api"], api_key="none", max_retries=0, timeout=120)
    assert {"ours", "guide"} <= {model.id for model in client.models.list()}
    request = dict(model="ours", messages=QUESTION, max_tokens=40, temperature=0)
    whole = client.chat.completions.create(**request)
    assert whole.model == "ours" and whole.usage.completion_tokens > 0, whole
    parts = list(client.chat.completions.create(**request, stream=True))
    text = "".join(choice.delta.content or "" for part in parts for choice in part.choices)
    assert text == whole.choices[0].message.content, (text, whole)
    exact = client.chat.completions.create(**{**request, "model": "guide"})
    assert text == exact.choices[0].message.content, "the same weights say something else here and there"
    plain = client.completions.create(model="ours", prompt="a", max_tokens=4)
    assert plain.choices[0].text is not None
    try:
        client.chat.completions.create(**{**request, "temperature": 9})
        raise AssertionError("a temperature of 9 was taken")
    except openai.BadRequestError as error:
        assert error.param == "temperature", error
    print("upstream: chat, stream, completion and errors through the gateway are right")


def noise(found):
    print("upstream: the noise is measured:", json.dumps(found))


def network(ready, binary):
    client = openai.OpenAI(base_url=ready["api"], api_key=ready["key"], max_retries=0, timeout=120)

    def paid(**changes):
        try:
            answer = client.chat.completions.create(
                **{"model": "guide", "messages": QUESTION, "max_tokens": 60, "temperature": 0, **changes}
            )
        except openai.APIStatusError:
            return None
        return answer if (answer.model_extra or {}).get("freeway", {}).get("receipt") else None

    # Until the lane is open, the gateway answers by itself.
    first = wait_for("a lane", paid)
    assert first.freeway["tier"] == "statistical" and first.freeway["trace"] is None, first
    assert first.choices[0].message.content.startswith("Freeway is"), first
    for seed in range(4):
        drawn = wait_for("a drawn answer", lambda: paid(temperature=0.7, top_p=0.9, seed=seed))
        assert drawn.freeway["tier"] == "statistical", drawn

    def checked():
        run = subprocess.run(
            [binary, "receipt", "verify", "--last", "5", "--json", "--dir", ready["dir"]],
            capture_output=True,
            text=True,
            timeout=120,
        )
        found = [json.loads(line) for line in run.stdout.splitlines()]
        assert all(one["scored"] is not False and one["reexecuted"] is None for one in found if "scored" in one), run.stdout
        return found if len(found) == 5 and all(one.get("valid") for one in found) else None

    for one in wait_for("receipts in commitments", checked):
        assert one["scored"], one

    def totals():
        sums = {"work_right": 0, "work_wrong": 0, "work_suspected": 0, "work_served": 0}
        for rpc in ready["rpc"]:
            text = urllib.request.urlopen(rpc + "/metrics", timeout=30).read().decode()
            for what, value in re.findall(r'what="(\w+)"\} ([0-9.e+]+)', text):
                if what in sums:
                    sums[what] += float(value)
        return sums

    # All three of the committees of five samples.
    found = wait_for("verdicts", lambda: (sums := totals())["work_right"] >= 3 and sums or None)
    assert found["work_wrong"] == 0 and found["work_suspected"] == 0, found
    print("upstream: hosts with that server are paid, and those who score their answers find them right:", found)


if __name__ == "__main__":
    what, told, *rest = sys.argv[1:]
    {"gateway": gateway, "noise": noise, "network": network}[what](json.loads(told), *rest)
