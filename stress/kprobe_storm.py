"""Probes come and go while every CPU runs through them: each call is hit exactly as it must be.

Callers call small functions from tasks and from interrupts and judge every single call: a probe
that was surely armed before and after was hit exactly once, one that was surely off not at all; a
hit inside another handler was counted as missed; the result is right. Meanwhile arming tasks
register, unregister, enable, disable, aggregate, register in batches and replace instructions.
"""

from testbed import onoff
from testbed.harness import Counters, HarnessError, Option, Run
from testbed.text.image import Image
from testbed.text.model import TEXT_BASE, FunctionFlag, InsnClass, InsnFlag, TextFunction

CLAIM = "a probe is hit exactly while it is armed, and nothing else of the program changes"
SOURCES = ("kprobe_storm.c", "storm_probes.c")
LIBRARY = None
OPTIONS = (
    Option("callers", 0, "Tasks that call; 0 = one on each CPU.", minimum=0, maximum=100),
    Option("armers", 2, "Tasks that arm and disarm.", minimum=1, maximum=32),
    Option("probes", 24, "Probes that come and go.", minimum=1, maximum=128),
    Option("crowd_per_mille", 300, "Probes beside others, per 1000.", minimum=0, maximum=1000),
    Option("irq_per_mille", 5, "Calls made in an interrupt, per 1000.", minimum=0, maximum=1000),
    Option("sites_per_mille", 0, "Calls to what is replaced, per 1000.", minimum=0, maximum=1000),
    Option("register", 70, "Weight of register and unregister.", minimum=1),
    Option("enable", 15, "Weight of enable and disable.", minimum=0),
    Option("batch", 10, "Weight of batches of up to four probes.", minimum=0),
    Option("replace", 10, "Weight of replacing instructions.", minimum=0),
    Option("audit", 1, "Weight of checking the probe tables.", minimum=0),
    Option("pause_us", 100, "Longest pause between two operations of a task, us.", minimum=0),
    Option("delay", 2000, "Time that a delaying handler spins, cycles.", minimum=0),
    Option("write_delay", 0, "Pause between the bytes of a write to text, cycles.", minimum=0),
    Option("fail_arm", 0, "Arming fails once in so many times; 0 = never.", minimum=0),
    Option("fail_alloc", 0, "Allocating fails once in so many times; 0 = never.", minimum=0),
    onoff.ONOFF,
)

SLOTS, ALTERNATIVES = 8, 4
SKIP_VALUE = 0x5C1FFED
HANDLERS = ("count", "count", "count", "delay", "reenter", "post_count", "unregister_elsewhere")
COUNTED = {
    "calls": "calls", "probed calls": "armed_calls", "calls in interrupts": "irq_calls",
    "register/unregister pairs": "unregisters", "enables": "enables", "disables": "disables",
    "batches": "batches", "instructions replaced": "patches", "audits": "audits",
    "injected failures": "refused",
}  # fmt: skip


def setup(run: Run) -> None:
    """Fill the tables and start callers and arming tasks."""
    machine, options = run.machine, run.options
    functions = testable(run.image)
    sites = {site.function for site in run.image.sites}
    functions.sort(key=lambda function: function.name not in sites)
    callers = options["callers"] or run.cpus
    storm_at = machine.alloc("struct storm")
    storm = machine.view(storm_at, "struct storm")[0]
    storm["nr_functions"], storm["nr_slots"] = len(functions), options["probes"]
    storm["arming_tasks"], storm["irq_per_mille"] = options["armers"], options["irq_per_mille"]
    for weight in ("register", "enable", "batch", "replace", "audit"):
        storm[f"weight_{weight}"] = options[weight]
    storm["pause_us"] = options["pause_us"]
    storm["nr_sites"] = sum(function.name in sites for function in functions)
    storm["sites_per_mille"] = options["sites_per_mille"]
    tables = {
        "functions": ("struct storm_function", len(functions)),
        "slots": ("struct judge_slot", options["probes"]),
        "counts": ("struct storm_counts", callers + options["armers"]),
    }
    for name, (kind, count) in tables.items():
        storm[name] = machine.alloc(kind, count)
        run.state[name] = machine.view(int(storm[name]), kind, count)
    run.state["storm"] = storm
    fill_functions(run, functions)
    fill_slots(run, functions)
    start(run, storm_at, callers)
    onoff.start(run)


def testable(image: Image) -> list[TextFunction]:
    """Return the assembled functions that are called with two numbers and may be probed."""
    return [
        function for function in image.functions
        if function.expected is not None and function.flags & FunctionFlag.ASSEMBLED
        and not function.flags & FunctionFlag.NOPROBE and places(image, function)
    ]


def places(image: Image, function: TextFunction) -> list[int]:
    """Return the offsets that each call passes exactly once and that take a probe."""
    start = function.addr - TEXT_BASE
    rows = image.text_map[start : start + function.size]
    return [
        offset for offset in function.once
        if rows[offset]["class"] not in (InsnClass.NONE, InsnClass.REFUSED)
        and not rows[offset]["flags"] & InsnFlag.PATCHABLE
    ]


def fill_functions(run: Run, functions: list[TextFunction]) -> None:
    """Write arguments and the results that each form of a function must give."""
    table = run.state["functions"]
    sites = {site.function: site for site in run.image.sites}
    site_owner = 0
    for record, function in zip(table, functions, strict=True):
        assert function.expected is not None
        entry, calls = record["judged"], record["call"]
        entry["addr"], entry["nr_alternatives"] = function.addr, 1
        forms = [function.expected]
        site = sites.get(function.name)
        if site is not None:
            alternatives = site.alternatives[: ALTERNATIVES - 1]
            forms += [alternative.expected for alternative in alternatives]
            entry["nr_alternatives"], entry["site"] = len(forms), site.address
            entry["owner"] = site_owner % run.options["armers"]
            site_owner += 1
            for n, data in enumerate((site.old_bytes, *(a.data for a in alternatives))):
                entry["bytes"][n][:5] = list(data)
        for call in calls:
            a, b = run.random.getrandbits(64), run.random.getrandbits(run.random.choice((3, 64)))
            call["argument"] = (a, b)
            call["expected"][: len(forms)] = [form(a, b) for form in forms]


def fill_slots(run: Run, functions: list[TextFunction]) -> None:
    """Choose where each probe comes and goes, and what its handler does."""
    random = run.random
    entered = {name for function in functions for name in function.callees}
    for site in run.image.sites:
        entered |= {name for alternative in site.alternatives for name in alternative.callees}
    sites = {site.function for site in run.image.sites}
    plain = [
        n for n, function in enumerate(functions)
        if function.name not in sites and not function.callees
        and 0 in places(run.image, function)
    ]
    alone = [n for n in plain if functions[n].name not in entered]
    skipping = random.choice(alone) if alone else -1
    for number, slot in enumerate(run.state["slots"]):
        skips = number == 0 and skipping >= 0
        index = skipping if skips else choose(run, functions, skipping)
        function = functions[index]
        handler = "skip" if skips else random.choice(HANDLERS)
        offset = 0 if skips else choose_place(run, index, function) - function.addr
        slot["owner"], slot["passes"] = number % run.options["armers"], 1
        slot["addr"] = function.addr + offset
        slot["handler"] = handler.encode()
        slot["record"]["delay_cycles"] = run.options["delay"]
        slot["record"]["skip_value"] = SKIP_VALUE if skips else 0
        add_slot(run, index, number)
    choose_nested(run, functions, [n for n in plain if n != skipping])


def add_slot(run: Run, index: int, number: int) -> None:
    """Note that a call of a function meets a probe."""
    entry = run.state["functions"][index]["judged"]
    entry["slot"][int(entry["nr_slots"])] = address_of(run, "slots", "struct judge_slot", number)
    entry["nr_slots"] += 1


def address_of(run: Run, name: str, kind: str, index: int) -> int:
    """Return where an entry of one of the tables is."""
    return int(run.state["storm"][name]) + index * run.machine.layout.sizeof(kind)


def choose_place(run: Run, index: int, function: TextFunction) -> int:
    """Return the address of one more probe of a function."""
    entry = run.state["functions"][index]["judged"]
    if entry["nr_slots"] and run.random.randrange(1000) < run.options["crowd_per_mille"]:
        return int(run.machine.view(int(entry["slot"][0]), "struct judge_slot")[0]["addr"])
    return function.addr + run.random.choice(places(run.image, function))


def choose_nested(run: Run, functions: list[TextFunction], plain: list[int]) -> None:
    """Choose what handlers call: a function with probes that are missed then, if there is one."""
    table = run.state["functions"]
    probed = [n for n in plain if table[n]["judged"]["nr_slots"]]
    for slot in run.state["slots"]:
        if slot["handler"] != b"reenter":
            continue
        nested = run.random.choice(probed or plain)
        # Its first member is what is judged.
        slot["nested"] = address_of(run, "functions", "struct storm_function", nested)
        record, call = slot["record"], table[nested]["call"][0]
        record["function"] = functions[nested].addr
        record["argument"], record["expected"] = call["argument"], call["expected"][0]


def choose(run: Run, functions: list[TextFunction], skipping: int) -> int:
    """Return a function with room for one more probe."""
    room = [
        n for n in range(len(functions))
        if n != skipping and run.state["functions"][n]["judged"]["nr_slots"] < SLOTS
    ]
    if not room:
        raise HarnessError(
            f"probes={run.options['probes']}: there is room for {SLOTS} on each of "
            f"{len(functions)} functions"
        )
    # Few functions with many probes each: so that probes meet at one address.
    favourites = room[: max(4, len(room) // 2)]
    return run.random.choice(favourites if run.random.random() < 0.5 else room)


def start(run: Run, storm: int, callers: int) -> None:
    """Start the tasks, spread over the CPUs."""
    machine, size = run.machine, run.machine.layout.sizeof("struct storm_counts")
    counts = int(machine.view(storm, "struct storm")[0]["counts"])
    for number in range(callers + run.options["armers"]):
        calls = number < callers
        block = machine.alloc("struct storm_task")
        task = machine.view(block, "struct storm_task")[0]
        task["storm"], task["counts"] = storm, counts + number * size
        task["random"] = run.random.getrandbits(64) | 1
        task["number"] = number if calls else number - callers
        cpu = number % run.cpus if calls else (number - callers) % run.cpus
        name = f"caller/{number}" if calls else f"armer/{number - callers}"
        machine.spawn(cpu, "storm_caller" if calls else "storm_armer", block, name)


def counters(run: Run) -> Counters:
    """Return what the tasks have done so far."""
    counts = run.state.get("counts")
    if counts is None:
        return {}
    counted = {shown: int(counts[name].sum()) for shown, name in COUNTED.items()}
    return {**counted, **onoff.counters(run)}
