"""What to call a sound: readable captions in place of those made from class names and titles of files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# The class that a label is counted with, where two names mean one sound.
SAME_CLASS: Mapping[str, str] = {
    "dog bark": "dog",
    "fire crackle": "crackling fire",
    "fireplace": "crackling fire",
    "watch tick": "clock tick",
    "waves": "sea waves",
    "seagull": "seagulls",
    "bird": "chirping birds",
    "birds": "chirping birds",
    "crow caw": "crow",
    "cow moo": "cow",
    "cricket": "crickets",
    "thunder": "thunderstorm",
    "storm": "thunderstorm",
    "rain heavy": "heavy rain",
    "heavyrain": "heavy rain",
    "rainstorm": "heavy rain",
    "rain light": "light rain",
    "drizzle": "light rain",
    "night rain": "rain",
    "rainstorm inside": "rain indoors",
    "indoors rain": "rain indoors",
    "clear night": "summer night",
    "cloudy night": "summer night",
    "airplane prop": "airplane",
    "car motor": "engine",
    "bees": "bumble bee",
    "sheep baa": "sheep",
    "lamb": "sheep",
    "pig snort": "pig",
    "pig squeal": "pig",
    "laugh evil": "laughing",
    "chicken": "hen",
    "fireworks pop": "fireworks",
    "police siren": "siren",
}

# Captions of a class, the plainest first.
CAPTIONS: Mapping[str, Sequence[str]] = {
    "dog": ("a dog barking", "a dog barks", "a barking dog", "dog barking"),
    "rooster": ("a rooster crowing", "a rooster crows", "a rooster", "a cock crowing"),
    "crying baby": ("a baby crying", "a crying baby", "a baby cries", "an infant crying"),
    "sneezing": ("a person sneezing", "someone sneezes", "a sneeze", "sneezing"),
    "sea waves": ("sea waves", "waves on a beach", "ocean waves breaking", "waves crashing on the shore"),
    "rain": ("rain", "rain falling", "falling rain", "it is raining"),
    "heavy rain": ("heavy rain", "heavy rain falling", "a downpour", "pouring rain"),
    "light rain": ("light rain", "light rain falling", "drizzle", "a drizzle of rain"),
    "rain indoors": ("rain heard from indoors", "rain outside a window"),
    "crackling fire": ("a crackling fire", "a campfire crackling", "a fire crackling", "a campfire"),
    "clock tick": ("a clock ticking", "a ticking clock", "the ticking of a clock", "a clock ticks"),
    "helicopter": ("a helicopter", "a helicopter flying", "a helicopter in flight", "helicopter rotors"),
    "chainsaw": ("a chainsaw", "a chainsaw cutting wood", "a chainsaw running", "a chainsaw at work"),
    "seagulls": ("seagulls", "seagulls calling", "seagulls crying"),
    "chirping birds": ("birds chirping", "birds singing", "birdsong"),
    "crickets": ("crickets chirping", "crickets", "crickets at night"),
    "summer night": ("a summer night", "insects at night", "a quiet night outdoors"),
    "thunderstorm": ("thunder", "a thunderstorm", "thunder rumbling"),
    "wind": ("wind blowing", "wind", "a strong wind"),
    "church bells": ("church bells ringing", "church bells", "bells tolling"),
    "cow": ("a cow mooing", "a cow moos"),
    "cat": ("a cat meowing", "a cat meows"),
    "frog": ("frogs croaking", "a frog croaking"),
    "crow": ("crows cawing", "a crow caws"),
    "sheep": ("sheep bleating", "a sheep bleats"),
    "pig": ("a pig grunting", "a pig oinks"),
    "hen": ("a hen clucking", "chickens clucking"),
    "train": ("a train passing", "a train on the tracks"),
    "airplane": ("an airplane flying", "an aeroplane"),
    "engine": ("an engine running", "a car engine idling"),
    "siren": ("a siren wailing", "a police siren", "an emergency siren"),
    "car horn": ("a car horn honking", "a car horn"),
    "fireworks": ("fireworks exploding", "fireworks"),
    "clapping": ("people clapping", "applause"),
    "laughing": ("a person laughing", "laughter"),
    "footsteps": ("footsteps", "someone walking"),
    "door knock": ("knocking on a door", "someone knocks on a door", "a knock on the door"),
    "door wood creaks": ("a wooden door creaking", "a creaking door"),
    "keyboard typing": ("typing on a keyboard", "keyboard typing"),
    "mouse click": ("computer mouse clicks", "a mouse clicking"),
    "glass breaking": ("glass breaking", "a glass shatters"),
    "water drops": ("water dripping", "drops of water"),
    "pouring water": ("water being poured", "pouring water"),
    "vacuum cleaner": ("a vacuum cleaner running", "a vacuum cleaner"),
    "washing machine": ("a washing machine running", "a washing machine"),
    "insects (flying)": ("flying insects buzzing", "a fly buzzing"),
    "bumble bee": ("bees buzzing", "a bumble bee"),
    "city": ("city traffic", "a busy city street"),
    "coffee shop": ("people talking in a coffee shop", "the murmur of a coffee shop"),
    "boat": ("water lapping against a boat",),
    "owl hoot": ("an owl hooting", "an owl hoots"),
    "wolf howl": ("a wolf howling", "a wolf howls"),
    "horse neigh": ("a horse neighing", "a horse neighs"),
    "gallop": ("a horse galloping", "galloping hooves"),
    "duck quack": ("a duck quacking",),
    "doorbell": ("a doorbell ringing", "a doorbell"),
    "explosion huge": ("a huge explosion", "an explosion"),
    "explosion distant": ("a distant explosion",),
    "jet flyby": ("a jet flying by", "a jet passing by"),
    "underground": ("an underground cave",),
    "walk t floor": ("footsteps on an indoor floor",),
    "walk t water sh": ("footsteps in shallow water",),
    "step hard": ("footsteps on a hard floor",),
    "step water": ("footsteps in water",),
    "woosh": ("a whoosh",),
    "smash glass": ("glass being smashed",),
}

_ANIMALS = (
    "bat|bear|camel|canary|cobra|elephant|goat|goose|gorilla|grasshopper|horse|hyena|jaguar|leopard|monkey|mouse"
    "|parrot|peacock|pigeon|puppy|quail|raccoon|robot|sea lion|squirrel|tiger|turkey|undead|vulture|whale|wolf|yak"
    "|zebra|zombie"
)
_CRIES = "bark|bleat|chatter|chirp|gobble|groan|growl|grunt|moan|roar|snarl|snort|trumpet|whistle"

# (pattern, replacement), applied in order to what is left of a caption.
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^the sound of ", ""),
        (r"\s*\([^)]*\)", ""),
        (r"\bweather ambience$", "weather"),
        (r"\bambience$", ""),
        (r" (voice|tool)$", ""),
        (r"^vehicle (?=\w)", ""),
        (r"^(open|close) car (door|trunk)$", r"a car \2 \1s"),
        (r"^door (open|close)$", r"a door \1s"),
        (r"^hitting (door|window) smash fail\b", r"hitting a \1"),
        (r"\bsmash success smashed\b", "smashed"),
        (r"\bshot gun shot$", "shotgun shot"),
        (r"\b(door|curtain|window|fence) door$", r"\1"),
        (r"^(an? )?(\w+ )?(\w+ )?(flesh|melee) melee hit$", "a blow in a fight"),
        (r"^hurt f$", "a woman crying out in pain"),
        (r"^hurt m$", "a man crying out in pain"),
        (r"^fatigue (high|med|low)$", "a person panting"),
        (r"^(die|female|male) scream$", "a person screaming"),
        (r"^rear beeper$", "the beeping of a reversing lorry"),
        (r"^geiger .*", "a geiger counter clicking"),
        (r"^whoosh of .*swing$", "a weapon swung through the air"),
        (r"^(bite) (hit|miss)$", "a biting sound"),
        (r"^ar (burst|fire)$", "an assault rifle firing"),
        (r"^(pistol|rifle)( small)? fire$", r"a \1 shot"),
        (r"^tabla\b.*", "a tabla drum"),
        (r"^(bass|snare) drum\b.*", r"a \1 drum"),
        (r"^drum (bass|snare)\b.*", r"a \1 drum"),
        (r"^drum (cymbal|splash)\b.*", "a cymbal"),
        (r"^drum tom\b.*", "a tom drum"),
        (r"^drum (cowbell|roll|heavy kick)$", r"a drum kit, \1"),
        (r"^loop (drone|electric|industrial|3d).*", "a droning machine loop"),
        (r"^loop\b.*", "a drum loop"),
        (r"^bass\b.*", "a synthesizer bass note"),
        (r"^synth (\w+?)\d*$", r"a synthetic \1 sound"),
        (r"^glitch\b.*", "an electronic glitch"),
        (r"^(electronic) (\w+ )?(\w+?)\d*$", r"an electronic \2\3"),
        (r"^ambient (.*)$", r"ambient music, \1"),
        (r"^guitar\b.*", "a guitar chord"),
        (r"^(percussion|misc) (\w+?)\d*$", r"a \2"),
        (r"^vinyl (\w+)$", r"a vinyl record, \1"),
        (rf"^({_ANIMALS})$", r"a \1"),
        (rf"^({_ANIMALS}) ({_CRIES})$", r"the \2 of a \1"),
        (r"^leopard saw|jaguar saw$", "the rasping call of a big cat"),
        (r"\ba (?=[aeiou])", "an "),
        (r"\s+", " "),
    )
)


def captions(caption: str, label: str = "") -> tuple[str, ...]:
    """Readable captions of a clip, the plainest first.

    Classes with captions of their own (`CAPTIONS`) get those; otherwise the caption is tidied: what follows a comma
    is the title of a file and says little that is true of the sound.
    """
    if (own := CAPTIONS.get(sound_class(label))) is not None:
        return tuple(own)
    tidy = caption.split(",")[0].strip().lower()
    for pattern, replacement in _REWRITES:
        tidy = pattern.sub(replacement, tidy)
    return (tidy.strip() or label,)


def sound_class(label: str, /) -> str:
    """The class a label is counted with: "watch tick" is a "clock tick"."""
    return SAME_CLASS.get(label, label)
