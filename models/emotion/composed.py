"""Sentences of disbelief, composed for training: an opener and an event that tells the emotion.

In the comments of GoEmotions "I can't believe" nearly always stands for surprise, so a model trained
on them alone calls any such sentence surprise, whatever happened. These rows show that the event
decides. They are made here and come from no data set.
"""

import itertools
import random

OPENERS = [
    "I can't believe", "I cannot believe", "can't believe", "I still can't believe",
    "I just can't believe", "We can't believe", "Can't quite believe", "I can hardly believe",
]
ENDINGS = ["!", ".", "", "!!"]
EVENTS = {
    "happiness": [
        "our team took the gold medal", "she said yes", "I passed the exam", "I got into my dream school",
        "we are finally getting married", "they gave me the award", "my painting came first",
        "we have tickets for the final", "the surgery went so well", "he is healthy again",
        "we made it to the top", "I got the promotion", "our offer on the house was accepted",
        "you did all this for me, thank you", "my little sister graduated today", "we beat the champions",
        "the baby is finally here", "how beautiful this place is", "we scored in the last minute",
        "I finished my first marathon", "they love my song", "the good guys won for once",
        "how lucky I am", "my best friend is coming home", "I won a prize", "we got the victory",
    ],
    "anger": [
        "they lied to us again", "he stole my bike", "they charged me twice for this", "you broke your promise",
        "he had the nerve to blame me", "they cut our pay and kept the bonuses", "she read my diary",
        "the idiots cancelled our flight", "you would insult my family like that", "he keeps shouting at the kids",
        "they ignored every complaint", "he parked across two spaces again", "we lost because the referee cheated",
    ],
    "sadness": [
        "she is gone", "my grandfather passed away", "we had to put our dog down", "he will never come home",
        "we lost", "it is all over between us", "I failed again", "nobody came to my birthday",
        "they closed my old school", "I will never see her again", "we lost the final", "I have no one left",
    ],
    "disgust": [
        "he ate that off the floor", "there is mould in my food", "they serve this rotten fish",
        "someone left that in the toilet", "how filthy this kitchen is", "he never washes his hands",
        "people find that gross thing attractive", "there was a hair in my soup",
    ],
    "fear": [
        "someone is standing outside my window", "how close that truck came to hitting us",
        "we have to walk through there alone at night", "the plane is shaking this badly",
        "the storm is coming straight at us", "he might come back with a knife", "the brakes are failing",
    ],
    "surprise": [
        "it", "it is already December", "those two are the same person", "it costs so little",
        "he is over seventy", "this was filmed on a phone", "nobody noticed that before", "what I just saw",
        "this is real", "that actually worked", "how tall he is", "they found it after all these years",
    ],
}


def sentences(seed):
    """Pairs of a sentence and its emotion: every event with every opener, endings at random."""
    rng = random.Random(seed)
    pairs = []
    for emotion, events in EVENTS.items():
        for opener, event in itertools.product(OPENERS, events):
            pairs.append((f"{opener} {event}{rng.choice(ENDINGS)}", emotion))
    return pairs
