"""Words that carry no subject of their own, in several languages: what key phrases are not made of."""

import re

_FUNCTION = {
    "en": """a about above across after again against ago all almost along also although always am among an and another any
        anybody anyone anything anyway are around as at away back be became because been before began behind being below between
        both but by came can cannot could did do does doing done down during each either else enough etc even ever every
        everybody everyone everything except few for from further had has have having he her here hers herself him himself his
        how however i if in indeed instead into is it its itself just least less lot lots many may maybe me might mine more most
        much must my myself near neither never no nobody none nor not nothing now of off often on once one ones only onto or
        other others otherwise our ours ourselves out over own per perhaps quite rather really same several shall she should
        since so some somebody somehow someone something sometimes soon still such than that the their theirs them themselves
        then there therefore these they this those though through till to together too toward towards under unless until up upon
        us very was we were what whatever when whenever where whether which while who whole whom whose why will with within
        without would yet you your yours yourself don doesn didn isn wasn aren weren couldn wouldn shouldn hasn haven hadn won
        ain mustn needn let gonna wanna gotta cause cuz til two three four five six seven eight nine ten eleven twelve twenty thirty
        forty fifty sixty ninety hundred thousand million twice first second last next new old via versus""",
    "de": """aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da dabei dadurch
        dafür dagegen daher damit danach dann daran darauf daraus darin darum das dass dein deine dem den denn der des deshalb
        dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einfach einige
        er es etwas euch euer für gegen gibt habe haben hat hatte hatten hattest hier hinter ich ihm ihn ihnen ihr ihre ihrem
        ihren ihrer im immer in ins ist ja jede jedem jeden jeder jedes jemand jetzt kann kannst kein keine keinen können könnte
        könnten machen mal man mehr mein meine meinem meinen meiner mich mir mit muss müssen nach nicht nichts nie noch nun nur
        ob oder ohne schon sehr sein seine seinem seinen seiner seit sich sie sind so sogar soll sollen sollte sollten sondern
        sonst um und uns unser unsere unserem unseren unter viel viele vom von vor wann war waren warum was weil welche welcher
        wenn wer werde werden wie wieder will wir wird wirst wo wollen worden wurde wurden würde würden zu zum zur zwar zwischen
        über heute gestern morgen zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig hundert tausend
        lasse lassen frau herr herrn""",
    "fr": """ai aient ainsi alors après assez au aucun aussi autre autres aux avant avec avoir avons avez bien car ce cela celle
        celui ces cet cette ceux chaque chez comme comment dans de déjà depuis des deux donc dont du elle elles en encore entre
        es est et étaient était étais été être eu fait faire faut il ils je jusque la le les leur leurs lors lui là ma mais me
        même mes moi moins mon ne ni nos notre nous on ont ou où par parce pas peu peut plus pour pourquoi qu quand que quel
        quelle quelles quels qui quoi sa sans se sera serait ses si son sont sous suis sur ta te tes toi ton tous tout toute
        toutes très tu un une va vais vers veut veux voici voilà vos votre vous y
        as aura auras aurait aurons auront trois quatre cinq six sept huit neuf dix douze vingt trente quarante cent mille""",
    "es": """al algo algunas algunos ante antes aquí así aún aunque bien cada como con contra cual cuando cuándo cómo de del
        desde donde dónde dos durante el él ella ellas ellos en entre era eran eres es esa ese eso esos esta está están estar
        estas este esto estos estoy fue fueron ha había haber hace hacer han hasta hay he hemos la las le les lo los más me mi
        mí mis mientras mucho muchos muy nada ni no nos nosotros nuestra nuestro o os otra otro otros para pero poco por porque
        pues puede puedo qué que quien quién se sea ser será si sí siempre sin sobre solo sólo somos son soy su sus también tan
        tanto te tener tengo ti tiene tienen toda todas todo todos tu tú tus un una uno unos usted ustedes va vamos voy y ya yo
        quiero quería necesito necesita necesitamos podemos puedes pueden""",
    "pt": """à às ainda além algo alguém algum alguma antes ao aos apenas após aquela aquele aquilo as até bem cada com como
        contra da das de dela dele deles depois desde dessa desse desta deste do dos e é ela elas ele eles em enquanto então
        entre era eram essa esse essas esses esta está estão estamos estar estas este estes estou eu faz fazer foi foram fui há
        isso isto já lhe mais mas me mesmo meu meus minha minhas muito muitos na não nas nem nenhum no nos nós nossa nosso num
        numa o onde os ou outra outro outros para pela pelas pelo pelos pode podem por porque pouco pra pro quais qual quando
        quase que quem se seja sem sempre ser será seu seus só são sobre somos sou sua suas tá também tão te tem têm temos tenho
        ter teu tinha toda todas todo todos tu tua tudo um uma umas uns vai vamos você vocês vou posso quero queria preciso
        precisa precisamos podemos""",
    "it": """abbiamo ad agli ai al alla alle allo allora anche ancora avere c che chi ci cioè col come con cosa così da dagli
        dai dal dalla dalle degli dei del della delle dello dentro di dopo dove due e è ed era erano essere fa fare fra già gli
        ha hai hanno ho il in io la le lei li lo loro lui ma me meno mi mia mie mio molto ne negli nei nel nella nelle nello noi
        non nostra nostro o ogni oppure per perché però più poco poi può qua quale quando quanto quasi quella quelle quelli
        quello questa queste questi questo qui sarà se sei sempre senza si sia siamo siete solo sono sopra sotto sta stata stato
        su sua sue sugli sul sulla suo suoi tra tu tua tue tuo tutta tutte tutti tutto un una uno va voi""",
    "nl": """aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge geen
        geweest haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je kan kon kunnen maar me meer men
        met mij mijn moet na naar niet niets nog nu of om omdat onder ons ook op over reeds te tegen toch toen tot u uit uw van
        veel voor waren was wat we wel werd wezen wie wij wil worden zal ze zelf zich zij zijn zo zonder zou""",
    "ru": """а без более бы был была были было быть в вам вас весь во вот все всё всего всех вы где да даже для до его ее её
        если есть еще ещё же за здесь и из или им их к как когда кто ли либо мне может мы на надо наш не него нее нет ни них но
        ну о об один он она они оно от очень по под при с со так также такой там те тем то того тоже той только том ты у уже
        хотя чего чей чем что чтобы чья эта эти это этот я меня мой моя мои себя нам нас просто потом теперь тебя тебе""",
}
"""By language; a language is told by them, too."""

_FILLERS = {
    "en": """ok okay okey k kk yes yeah yep yup nope nah sure thanks thank thx ty please pls welcome hi hello hey heya howdy bye
        goodbye cheers greetings morning evening afternoon night good great nice cool awesome amazing wonderful fantastic
        perfect excellent lovely brilliant super alright right fine well wow whoa oh ah aha haha hahaha lol hmm hm um uh sorry
        oops yay congrats congratulations absolutely definitely totally exactly certainly indeed gladly glad happy course
        problem worries got see seen saw look looks looking looked check checking checked know knows knew known think thinks
        thought thinking guess mean means say says said saying tell tells told ask asked talk talking hear hearing heard sound
        sounds seem seems feel feels feeling felt like likes liked love loved loving want wants wanted need needs needed go goes
        going went gone come comes coming get gets getting gotten take takes taking took taken make makes making made give gives
        giving gave given put try trying tried keep keeping kept help helps helping helped work works worked let's thing things
        stuff way ways kind sort bit much today tomorrow yesterday tonight later ago time times day days week weeks month months
        year years moment second seconds minute minutes hour hours lately recently already anymore actually basically literally
        probably
        possibly obviously honestly seriously pretty anyway btw imo fyi asap sir madam buddy dude guys guy folks man done ready
        understood noted agreed correct true proud best better big bigger little long far able hope hoping hopefully wish
        excited thrilled interesting fun cheer pleasure appreciate catch chat soon stay bet matter everything's here's""",
    "de": """hallo danke dankeschön bitte gerne gern klar genau super toll prima gut guten tag abend tschüss tschau moin servus
        nein okay alles mach mache macht schaue schau gucken guck sehe sehen weiß wissen denke glaube finde sag sagen geht gehen
        kommt kommen naja achso""",
    "fr": """bonjour salut merci bonsoir oui non voilà d'accord accord super bien sûr génial parfait désolé pardon revoir vois
        sais pense""",
    "es": """hola gracias buenos buenas días tardes noches vale claro bueno perfecto genial perdón siento adiós favor sé veo
        creo""",
    "pt": """olá oi obrigado obrigada bom boa dia tarde noite tchau claro certo beleza ótimo perfeito legal desculpa desculpe
        valeu sim acho sei""",
    "it": """ciao grazie prego buongiorno buonasera sì certo perfetto bene va scusa credo so""",
    "nl": """hoi dank bedankt goed prima doei""",
    "ru": """привет спасибо пожалуйста хорошо ладно да пока здравствуйте конечно понятно отлично""",
}
"""Politeness, assent and the verbs of small talk: a sentence of these and function words alone says nothing."""

_FAINT = {
    "en": """a lot able accept act add added adding afraid agree aim allow allowed already amount answer appear apply area
        arrive available avoid aware bad basic beautiful beat become becoming begin beginning begun believe believed big bring
        bringing brings brought bunch busy buy buying bought call called calling can't care careful carry case certain chance
        change changed changes changing choose chose chosen clear clearly close closer collect complete completely consider
        continue continued cost couple crazy create created creating cut daily deal decide decided decides deep definite
        different difficult direct dive easier easily easy either end ended ending enjoy enjoyed enjoying enjoys especially ever
        exact example exciting expect experience explain express extra fact fall fast feelings fell felt figure fill final
        finally find finding finds finish finished fit fix focus follow following follows forget forgot forward found free fresh
        full fully gain general giving goal going goes grab grow growing grown half handle hang happen happened happening
        happens hard hate head helpful high hold huge idea ideas imagine important incredible inspire inspired inspiring
        involved issue issues join joined journey keep kinda large late learn learned learning leave leaving left less level
        life line list listen listening live lives living lose lost low luck lucky main major manage matter maybe meaning
        meaningful meet meeting memorable mention mentioned met mind miss missed move moved moving name natural necessary normal
        note notice number offer open opportunity order part particular pass passed people percent perfectly person personal
        pick picked place places plan planned planning plans play played playing plenty plus point positive possible powerful
        prefer prepare pretty previous pull push question questions quick quickly quiet quite reach read reading real realize
        realized reason remember remind reminded reminds result return rest role run running runs safe save says scared search
        send sense sent set sets setting share shared shares sharing short show showed showing shown shows side sign similar
        simple simply sit situation slow small somewhat special spend spending spent spot stand start started starting starts
        state stayed staying step steps stop stopped strange strong struggle style sudden supposed surprise surprised take talk
        tell terrible test thank tired tiring tough tried tries true trust turn turned turns type understand understanding
        unique use used useful uses using usual usually value visit visited wait waiting walk wanting watch watched watching
        whole wish won wonder wondering word words worked working world worried worry worth write writing written wrong wrote
        young yesterday ago kids guys friend friends family weekend monday tuesday wednesday thursday friday saturday sunday
        january february march april june july august september october november december summer winter spring autumn vibe vibes
        super support supporting supports supported impact blast moments pic pics fave tons motivated motivate motivates
        passionate progress joy memories loves recommend recommends combining capture effort massive
        photo photos picture pictures image images screenshot screenshots km kg cm mm mb gb kb ms""",
    "de": """neue neuen neuer neues alten erste ersten zweite letzte letzten nächste nächsten wichtig wichtige richtig falsch
        kleine große ganz montag dienstag mittwoch donnerstag freitag samstag sonntag woche wochen jahr jahre tage stunden
        minuten uhr problem frage sache dinge leute freunde""",
    "fr": """nouveau nouvelle premier première dernier dernière chose choses jour jours semaine mois année heure heures temps
        gens question""",
    "es": """nuevo nueva primero primera último última cosa cosas día días semana mes año años hora horas tiempo gente pregunta""",
    "pt": """novo nova primeiro primeira último última coisa coisas dia dias semana mês ano anos hora horas tempo gente pergunta""",
    "it": """nuovo nuova primo prima ultimo ultima cosa cose giorno giorni settimana mese anno anni ora ore tempo gente domanda""",
    "nl": """nieuw nieuwe eerste laatste ding dingen dag dagen week weken maand jaar uur tijd mensen vraag""",
    "ru": """новый новая первый последний день дня неделя месяц год года время человек люди дело вопрос""",
}
"""Words of every conversation: part of a phrase at most, hardly ever its subject."""

_BEFORE_NOUNS = """
    a an the my your his her our their its this these those some any every each no of in on at with for about from between
    into during against through under over der die das den dem des ein eine einen einem einer mein meine dein deine unser
    unsere kein keine vom zum zur im am beim für mit über bei gegen um ohne le la les un une du au aux mon ma mes ton ta tes
    son sa ses notre nos votre leur de el los las una del al mi mis tu tus su sus o os as uma uns umas do da dos na nas meu
    minha meus minhas seu sua nosso nossa il lo gli uno della dello dei degli delle nel nella mio mia tuo tua suo con per het
    een mijn jouw zijn van voor met
"""
_BEFORE_VERBS = """
    i you we they he she it who to will would can could should must may might shall don doesn didn not never i'm you're we're
    they're i've we've you've i'll we'll i'd is was are were been be am being has have had let ich du er sie es wir ihr man je
    j' tu nous vous ils elles on eu ele ela nós você yo él ella nosotros ustedes io lui lei noi voi ik wij jij hij
"""

_BEFORE_OBJECTS = """
    a an the my your his her our their its this these those that him them me us it der die das den dem ein eine einen einem
    sich le la les un une el los las una lo o os as um uma il het een
"""
"""What follows a verb more often than a noun."""
_OWN = """
    i we my our ich wir mein meine unser unsere je nous mon ma notre yo nosotros mi nuestro eu nós meu minha nosso io noi mio nostro
    ik wij mijn ons я мы мой наш
"""
"""Words of somebody who tells of himself."""
_ADDRESSING = """
    you your yours yourself ya let dich dir dein deine deinen euch vous votre vos toi usted ustedes você vocês te tuo tua
    jij je jouw ты вы тебя тебе вас вам твой твоя ваш ваша
"""
"""Words of somebody who speaks of the one that he speaks to."""
_HAPPENED = """
    was were had did got went made took met came saw gave told said found bought sold lost won ran began became built wrote sent
    left kept held fell broke paid spent taught thought brought led drove flew grew chose
    war waren hatte hatten wurde wurden habe haben ging kam fand sah ai avons était étaient avait fue fueron había hemos hice foi
    foram fui tinha era erano stato stata aveva ho abbiamo heb hebben hadden werd был была было были
"""
"""Verbs of what happened; in English those that do not end in -ed."""
_WHEN = """
    yesterday today tonight tomorrow ago last next recently lately since monday tuesday wednesday thursday friday saturday sunday
    january february april june july august september october november december weekend
    gestern heute morgen neulich kürzlich seit montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar märz juni
    juli oktober dezember demain lundi mardi mercredi jeudi vendredi samedi dimanche ayer hoy mañana lunes martes
    miércoles jueves viernes sábado domingo ontem hoje amanhã segunda-feira terça-feira quarta-feira quinta-feira sexta-feira ieri
    oggi domani lunedì martedì mercoledì giovedì venerdì sabato domenica gisteren vandaag maandag dinsdag woensdag donderdag
    вчера сегодня завтра недавно
"""
"""Words that tell when."""
_LEANING = """
    that this these those it he she they them so and but or then which because also too there here das dies diese es er und aber
    oder dann denn ça cela il elle et mais donc eso esto y pero isso isto e mas então это он она но и
"""
"""Words at the beginning of a sentence that lean on the one before it."""
_ELISIONS = "l d j c n s m t qu un dell all nell sull dall quell"
"""What stands for a word before an apostrophe."""

FUNCTION = {language: frozenset(text.split()) for language, text in _FUNCTION.items()}
FILLERS = {language: frozenset(text.split()) for language, text in _FILLERS.items()}
FAINT = {language: frozenset(text.split()) for language, text in _FAINT.items()}
BEFORE_NOUNS = frozenset(_BEFORE_NOUNS.split())
BEFORE_VERBS = frozenset(_BEFORE_VERBS.split())
OWN = frozenset(_OWN.split())
ADDRESSING = frozenset(_ADDRESSING.split())
HAPPENED = frozenset(_HAPPENED.split())
WHEN = frozenset(_WHEN.split())
LEANING = frozenset(_LEANING.split())
ELISIONS = frozenset(_ELISIONS.split())
BEFORE_OBJECTS = frozenset(_BEFORE_OBJECTS.split())
HAN_JOINING = re.compile(
    "我们|你们|他们|我們|你們|他們|时候|時候|因为|因為|所以|如果|可以|什么|什麼|怎么|怎麼|这个|那个|這個|那個|已经|已經|需要|建议|建議|然后|然後|但是|还是|還是|或者|一下|一个|一個"
    "|[的了是在我你他她它们們这這那哪有和与與就不也都很要会會能可以吗嗎呢吧啊呀把被让讓给給对對从從到得着著过過去来來说說没沒什么麼怎样樣个個一上下里裡还還又再但因为為所如果然后後时時想用请請您]"
)
"""What mostly joins other words in Chinese."""
