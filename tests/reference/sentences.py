"""Ordinary sentences that express emotions, written for this project."""

FEELING = """
I got the job and I have been dancing around the kitchen all morning!
We finally adopted the old dog from the shelter and he fell asleep on my feet.
My daughter took her first steps today and I cried happy tears.
Best birthday I have had in years, thank you all so much.
The sun came out just as we reached the top, and it was perfect.
I passed! After three tries I actually passed!
Grandma's soup tastes exactly like it did when I was six.
I love this song so much that I keep playing it on repeat.
You made my whole week with that message.
Our team won in the last second and the whole street went wild.
Nothing beats fresh bread and a quiet Sunday.
So proud of my little brother, he graduates tomorrow.
She said yes!
lol that cat video made my day
Yay, the package came two days early :)
I miss him every single day and the house is too quiet now.
Nobody came to the party, so I ate the cake alone.
It has been a year since she died and I still set the table for two.
I failed again and I do not know how to tell my parents.
He packed his things while I was at work and left no note.
The old theatre where we met is being torn down next week.
I feel so empty lately, like nothing I do matters.
My best friend moved across the country and I can't stop crying.
We had to say goodbye to our cat this afternoon.
I wish I had called her back while I still could.
it hurts to see their photos
They cancelled the show I had been waiting for since spring. I'm heartbroken.
Some days getting out of bed is the hardest thing.
I lost the ring my mother gave me.
How dare you speak to my mother like that?
He lied to all of us and then blamed the intern!
I have been on hold for two hours and they hung up on me again.
Stop touching my things. I have told you a hundred times.
The landlord raised the rent and still won't fix the heating. I am furious.
Who parks across two spaces outside a hospital? Unbelievable.
This is the third time they have lost my order, and now they want to charge me twice.
You had one job. ONE JOB.
I'm so sick of people talking over me in meetings.
They read my private letters out loud and laughed.
Shut up and let her finish her sentence!
Every rule applies to us and none of them apply to him.
My neighbour cut down my tree while I was away and I could scream.
That referee should never be allowed near a field again.
wtf is wrong with this company, worst service ever
There was a hair baked into the middle of the bread.
The bathroom smelled like something had died in it and I nearly threw up.
He licked the spoon and put it back in the pot. Gross.
I found maggots in the bin and now my skin is crawling.
The way he talks about women makes me feel ill.
Ew, who puts toenail clippings on the table?
That milk was green. Green!
It is revolting how they treat those animals.
The walls were covered in mould and the carpet squelched.
I will never eat there again, the kitchen was filthy.
What a vile thing to say about a child.
His jokes are sickening and no one should laugh at them.
I heard footsteps in the attic and I live alone.
My hands won't stop shaking, the surgery is tomorrow.
Please text me when you get home, I'm really worried.
The plane dropped so suddenly that everyone screamed.
There is a man standing under the street lamp and he has been watching the house for an hour.
I'm terrified that they will find out.
What if the test comes back positive?
The brakes did not work and the hill was getting steeper.
I can't sleep, every creak makes me jump.
She was afraid of the dark, and the torch had just gone out.
Storm warnings everywhere and the water is already at the door.
I dread opening that envelope.
The spider was the size of my hand and I lost sight of it.
My chest gets tight whenever the phone rings.
Don't go in there, something is wrong.
Wait, you two know each other?
I opened the box and there was a live parrot inside!
He just walked in after twenty years as if nothing had happened.
Whoa, I did not see that ending coming.
You're telling me the keys were in my pocket all along?
No way, tickets cost only five euros?
Out of nowhere the whole band started playing our song.
I had no idea that tomatoes were fruit until today.
She is your sister? I would never have guessed.
My quiet neighbour turns out to be a world champion in ballroom dancing.
Huh, it actually works on the first try.
I blinked and it was gone.
What?! They gave the prize to a film no one has heard of.
Surprise! We flew in last night.
The meeting has been moved to Thursday at ten.
Take the second left and then go straight on for two miles.
The library closes at eight on weekdays.
Water boils at a lower temperature in the mountains.
I think the blue folder is on the second shelf.
He works in accounting, if I remember correctly.
You can return it within thirty days with the receipt.
The train leaves from platform four.
Add the flour slowly and stir until it is smooth.
I usually take the bus on Tuesdays.
The report covers sales from January to June.
Does anyone know what time the shop opens?
There are four chairs in the room.
Please find the attached file.
It depends on the size of the garden.
The new version fixes two small bugs in the editor.
My phone number has not changed.
They live near the station, next to the bakery.
I am not angry, just tired.
I should be happy for them, but I feel nothing.
It was not bad at all, in fact I quite liked it.
I can't say I was surprised that he was late again.
Great, another Monday. Just what I needed.
Oh wonderful, the printer is broken. Again.
I laughed until I cried and then I just cried.
Part of me is thrilled, part of me wants to run away.
We lost the match but it was the most fun I have had all year.
I love you, but I am so mad at you right now.
She smiled, though her eyes were red.
The news scared me at first, then it made me angry.
I was nervous before the speech and ecstatic after it.
Honestly, I don't know how to feel about this.
It could have been worse, I suppose.
He apologised, and for the first time I believed him.
I'm not crying, you're crying.
Not one person thanked me, but the soup was gone in ten minutes, so I'll take it.
"""


def feeling():
    return FEELING.strip().splitlines()
