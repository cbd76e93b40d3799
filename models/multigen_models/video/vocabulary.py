"""Words for animated figures: what each is called, and what its clips show, read and written by hand.

Names of files say too little ("enemy", "mike") and names of clips are the artists' ("1H_Melee_Attack_Chop"). Every line
below was written looking at the figure or the clip. Still shapes have their names from `shape_names`.
"""

from __future__ import annotations

# noun, other names of it; colours; family: file. The colours are those that one would say, the first alone if need be;
# "-" where none is to be said.
FIGURES = """
alpaca; brown; grazer: alpaca
bull; black; grazer: bull
cow; brown; grazer: cow
deer, doe; brown; grazer: deer
donkey; grey; grazer: donkey
horse; brown; grazer: horse
horse; white; grazer: horse-white
stag, deer with antlers; brown; grazer: stag
fox; orange; dog: fox
husky, husky dog, dog; black and white; dog: husky
shiba inu, dog, shiba inu dog; orange and white; dog: shibainu
wolf; grey; dog: wolf

apatosaurus, long-necked dinosaur, dinosaur; grey; dinosaur: apatosaurus
parasaurolophus, dinosaur; grey; dinosaur: parasaurolophus
stegosaurus, dinosaur; brown; dinosaur: stegosaurus
T-rex, tyrannosaurus, dinosaur; grey; dinosaur: trex
triceratops, dinosaur; grey; dinosaur: triceratops
velociraptor, raptor, dinosaur; brown; dinosaur: velociraptor

frog; green; frog: frog
rat, mouse; grey; rat: rat
snake, cobra; green; snake: snake | snake-angry
spider; black; spider: spider
wasp; yellow and black; insect: wasp
bee; yellow and black; insect: bee
crab; red; monster: crab
monster, horned monster; green; monster: enemy
skull; beige; monster: skull

anglerfish, fish; brown; fish: anglerfish
catfish, fish; black; fish: armoredcatfish
betta fish, fish; blue and red; fish: betta
lionfish, fish; black and white; fish: blacklionfish
blobfish, fish; pink; fish: blobfish
goldfish, fish; blue; fish: bluegoldfish
tang fish, fish; blue and black; fish: bluetang
butterflyfish, fish; white and yellow; fish: butterflyfish
cardinalfish, fish; red and white; fish: cardinalfish
clownfish, fish; orange and black; fish: clownfish
grouper, fish; orange; fish: coralgrouper
cowfish, fish; brown; fish: cowfish
flatfish, fish; red and white; fish: flatfish
flowerhorn fish, fish; red; fish: flowerhorn
goblin shark, shark; grey; fish: goblinshark
goldfish, fish; orange; fish: goldfish
humphead fish, fish; green; fish: humphead
koi, koi fish, fish; white and red; fish: koi
lionfish, fish; orange and white; fish: lionfish
mandarinfish, fish; orange and blue; fish: mandarinfish
moorish idol fish, fish; beige and black; fish: moorishidol
parrotfish, fish; green and blue; fish: parrotfish
piranha, fish; grey; fish: piranha
pufferfish, fish; beige; fish: puffer
red snapper, fish; red; fish: redsnapper
gramma fish, fish; purple; fish: royalgramma
shark; grey; fish: shark
sunfish, fish; grey; fish: sunfish
swordfish, fish; grey; fish: swordfish
tang fish, fish; black and yellow; fish: tang
tetra fish, fish; grey; fish: tetra
tuna, fish; blue and grey; fish: tuna
turbot, fish; brown; fish: turbot
tang fish, fish; yellow; fish: yellowtang
clownfish, fish; black and white; fish: zebraclownfish
dolphin; grey; sea: dolphin
shark; blue; sea: fish-pack-shark
fish; white and orange; sea: fish1
fish; blue and yellow; sea: fish2
clownfish, fish; orange and white; sea: fish3
manta ray, ray; blue; sea: manta-ray
whale; blue; sea: whale

barbarian, warrior; -; adventurer: barbarian
knight; grey; adventurer: knight
wizard, mage; purple; adventurer: mage
rogue, thief; -; adventurer: rogue
hooded rogue, hooded thief, rogue; green; adventurer: rogue-hooded
man; -; swordless: knightcharacter
robot, android; white and orange; android: character
robot, humanoid robot; green; robot: george | stan
robot, humanoid robot; grey; robot: leela | mike
robot, two-legged robot; orange and white; walker-robot: enemy-2legs | enemy-2legs-gun
robot, round robot; white and black; walker-robot: enemy-large | enemy-large-gun
drone, flying robot; white and orange; drone: enemy-flying | enemy-flying-gun
mech, robot; yellow; mech: mech-barbarathebee-transformed
mech, robot; pink; mech: mech-fernandotheflamingo-transformed
mech, robot; green; mech: mech-finnthefrog-transformed
mech, robot; orange; mech: mech-raetheredpanda-transformed
astronaut; grey; astronaut: astronaut-barbarathebee-transformed
flamingo astronaut, astronaut; grey; astronaut: astronaut-fernandotheflamingo-transformed
frog astronaut, astronaut; grey; astronaut: astronaut-finnthefrog-transformed
red panda astronaut, astronaut; grey; astronaut: astronaut-raetheredpanda-transformed
alien; green; alien: enemy-large-transformed
alien, flying alien; green; floater: enemy-flying-transformed | enemy-small-transformed
alien, flying alien; green; floater: enemy-extrasmall-transformed
rabbit, cartoon rabbit, bunny; blue; rabbit: platformer-game-pack-character
rabbit, cartoon rabbit, bunny; blue; armed-rabbit: character-gun

tank; green; tank: tank | tank3
tank; brown; tank: tank2
tank; red; tank: tank4
treasure chest, chest; brown; prop: chest
lever; grey; prop: lever
spring, bouncy spring; red and grey; prop: bouncer
spike trap; red; prop: hazard-spiketrap
"""

# how its family moves: families. Only what stands on the ground has a shadow and keeps to it.
KINDS = """
walker: grazer | dog | dinosaur | frog | rat | snake | spider | monster | adventurer | swordless | android
walker: robot | walker-robot | mech | astronaut | alien | rabbit | armed-rabbit
flyer: insect | drone | floater
swimmer: fish | sea
vehicle: tank
thing: prop
"""

# where the body goes; what it does, in the infinitive, other words for it: clips. "forward" is where it faces; "-" is
# left out: what has no clear meaning without the rest of a game, and what is too short to see. A clip may stand behind
# a family and a slash, and without what its name begins with ("Frog_").
ACTIONS = """
forward; walk: Walk | Walking | Walking_A | Walking_B | Walking_C | rabbit/Walk_Gun
forward; walk, strut: Walk_Tall
forward; run: Run | Running_A | Running_B | Run_Tall | rabbit/Run_Gun | rabbit/Run_Shoot | android/Run_Shoot
forward; run: Run_swordAttack | Run_swordRight
forward; gallop, run: Gallop
forward; leap, gallop and jump: Gallop_Jump
forward; walk with its arms held out, walk: Walk_Holding
forward; run with its arms held out, run: Run_Holding
forward; walk with a gun, walk: Walk_Gun
forward; run with a gun, run: Run_Gun
forward; run and shoot, run: Run_Shoot | Run_Gun_Shoot
backward; walk backwards, step back: Walking_Backwards
backward; run backwards: Run_Back
leftward; run sideways, sidestep: Running_Strafe_Left | Run_Left
rightward; run sideways, sidestep: Running_Strafe_Right | Run_Right
forward; slither, crawl: snake/Walk
forward; crawl, walk: spider/Walk
forward; scuttle, run: rat/Run
forward; hop, jump: frog/Jump
forward; swim: Swim | Swimming_Normal
forward; swim fast, dart: Swimming_Fast
forward; swim in bursts, swim: Swimming_Impulse
forward; fly: Flying | drone/Walk
forward; fly fast, fly: Fast_Flying | drone/Run
forward; roll, do a forward roll: Roll | Roll_sword
forward; drive, roll along: tank/Forward
backward; drive backwards, reverse: tank/Backwards

stay; stand, wait: Idle | Idle_2 | Idle_Neutral | Unarmed_Idle | 2H_Melee_Idle
stay; stand with its head lowered, sniff the ground: Idle_Headlow | Idle_2_HeadLow
stay; stand: Idle_Gun | Idle_Sword | Idle_swordLeft | Idle_swordRight
stay; hover, float: Flying_Idle | drone/Idle
stay; sway: snake/Idle
stay; eat, graze: Eating
stay; eat: dog/Eating
stay; jump, leap into the air: Jump | Jump_toIdle | Jump_ToIdle | Jump_Full_Short | Jump_NoHeight
stay; jump high, jump: Jump_Full_Long
stay; butt with its head, attack: Attack_Headbutt
stay; headbutt, attack: Headbutt
stay; kick with its hind legs, kick: Attack_Kick
stay; bite, attack: Attack | Bite_Front | Bite_InPlace
stay; sting, attack: insect/Attack
stay; snap, bite: fish/Attack
stay; attack: walker-robot/Attack | drone/Attack
stay; lunge, attack: frog/Attack
stay; flop about, wriggle: Out_Of_Water
stay; turn belly up, die: fish/Death
stay; fall over, collapse: Death | Death_A | Death_B
stay; fall to the ground: insect/Death | floater/Death | Dead
stay; dance: Dance
stay; wave, wave hello: Wave | Hello
stay; nod, nod its head: Yes
stay; shake its head: No
stay; cheer, raise its arms in joy: Cheer
stay; duck, crouch: Duck
stay; kick: Kick | Kick_Left | Kick_Right | Unarmed_Melee_Attack_Kick
stay; punch, box: Punch | Punch_Left | Punch_Right | Unarmed_Melee_Attack_Punch_A | Unarmed_Melee_Attack_Punch_B
stay; chop with {one}, strike with {one}: 1H_Melee_Attack_Chop
stay; chop with {two}, strike with {two}: 2H_Melee_Attack_Chop
stay; slash with {one}, swing {one}: 1H_Melee_Attack_Slice_Diagonal | 1H_Melee_Attack_Slice_Horizontal | Sword_Slash
stay; slash with {two}, swing {two}: 2H_Melee_Attack_Slice
stay; stab with {one}, thrust {one}: 1H_Melee_Attack_Stab
stay; stab with {two}, thrust {two}: 2H_Melee_Attack_Stab
stay; swing an arm, strike: SwordSlash
stay; aim {bow}: 1H_Ranged_Aiming | 2H_Ranged_Aiming
stay; load {bow}: 1H_Ranged_Reload | 2H_Ranged_Reload
stay; shoot {bow}, fire {bow}: 1H_Ranged_Shoot | 1H_Ranged_Shooting | 2H_Ranged_Shoot | 2H_Ranged_Shooting
stay; strike with both hands, attack: Dualwield_Melee_Attack_Chop | Dualwield_Melee_Attack_Slice
stay; stab with both hands, attack: Dualwield_Melee_Attack_Stab
stay; spin around, whirl: 2H_Melee_Attack_Spin | 2H_Melee_Attack_Spinning
stay; guard itself, block: Blocking | Block
stay; cast a spell, raise its hands: Spellcast_Long | Spellcast_Raise | Spellcast_Shoot | Spellcasting
stay; throw something: Throw
stay; pick something up, bend down: PickUp | Pickup
stay; bend down: mech/Pickup
stay; reach out, touch something: Interact
stay; lie down: Lie_Down
stay; lie on the ground, sleep: Lie_Idle
stay; get up, stand up: Lie_StandUp | Sit_Floor_StandUp
stay; sit down: Sit_Floor_Down
stay; sit on the ground, sit: Sit_Floor_Idle
stay; flinch, stagger: Hit_A | Hit_B | HitReact | HitRecieve | HitRecieve_1 | HitRecieve_2 | Idle_HitReact_Left
stay; flinch, stagger: Idle_HitReact_Right
stay; shoot: Shoot
stay; shoot, fire a gun: Idle_Shoot
stay; move, flip: On | Off
stay; bounce: Bounce
stay; open: Open
stay; close: Close
stay; push out its spikes: Activate
-; -: Block_Attack | Block_Hit | Use_Item
-; -: Dodge_Backward | Dodge_Forward | Dodge_Left | Dodge_Right | Jump_Idle | Jump_Land | Jump_Landing | Jump_Start
-; -: Sit_Chair_Down | Sit_Chair_Idle | Sit_Chair_StandUp | Gun_Shoot | Idle_Gun_Pointing | Idle_Gun_Shoot | Weapon
-; -: tank/TurningLeft | tank/TurningRight | prop/Idle | Shoot_Big | Shoot_Small | drone/Shoot | walker-robot/Shoot
-; -: floater/Punch | mech/Hello | rabbit/Idle_Shoot | swordAttackJump
-; -: astronaut/Jump | alien/Jump | rabbit/Jump | armed-rabbit/Jump
"""

# what a figure holds where a phrase names it: figures.
WEAPONS = """
one=a sword, two=a sword: knight
one=an axe, two=an axe: barbarian
one=a wand, two=a staff: mage
one=a dagger, bow=a crossbow: rogue | rogue-hooded
one=a sword: character
"""

# how still vehicles move: kinds of shapes.
RIDES = """
drive, roll along: car | truck | van | tractor | bus | rover | forklift | motorcycle | scooter | cart | tank
roll, move: bicycle | tricycle | skateboard | wheelbarrow | trailer
sail, float: boat
fly: spaceship
"""
